"""Counts of labels and the weights computed from them."""

import threading
import tracemalloc

import numpy as np
import pytest
from miniatures import make_coco, make_sbd

from gluonvision.data import VOCSegmentationDataset, get_segmentation_dataset
from gluonvision.data.class_weights import class_weights, count_labels
from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.data.loading.prefetch import prefetch_map
from gluonvision.doctor import examine


@pytest.fixture
def voc(voc_like):
    return VOCSegmentationDataset(voc_like, split="train", mode="val")


class TestCountLabels:
    @pytest.mark.parametrize("workers", [0, 1, 3, None])
    def test_every_pixel_is_counted_once(self, voc, workers):
        masks = np.concatenate([voc[i][1].ravel() for i in range(len(voc))])
        counts = count_labels(voc, workers)
        assert counts.dtype == np.int64
        np.testing.assert_array_equal(counts, [(masks == c).sum() for c in range(21)])

    def test_masks_are_counted_as_stored_in_training_too(self, voc_like, voc):
        cropped = VOCSegmentationDataset(voc_like, split="train", mode="train", crop_size=32)
        np.testing.assert_array_equal(count_labels(cropped), count_labels(voc))

    def test_it_counts_what_the_doctor_counts(self, voc):
        (split,) = examine(voc).statistics.splits
        np.testing.assert_array_equal(count_labels(voc), [c.pixels for c in split.classes])

    @pytest.mark.parametrize(("name", "make"), [("coco", make_coco), ("pascal_aug", make_sbd)])
    def test_masks_that_are_no_pictures(self, tmp_path, name, make):
        make(tmp_path)
        options = {"min_pixels": -1} if name == "coco" else {}
        dataset = get_segmentation_dataset(name, root=tmp_path, mode="val", **options)
        labels = np.concatenate([dataset[i][1].ravel() for i in range(len(dataset))])
        expected = np.bincount(labels[labels >= 0], minlength=dataset.num_class)
        np.testing.assert_array_equal(count_labels(dataset), expected)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_broken_mask_is_an_error_that_names_it(self, tmp_path, workers):
        make_voc_like(tmp_path, 4, (40, 50))
        dataset = VOCSegmentationDataset(tmp_path, split="train", mode="val")
        dataset.masks[1].write_bytes(dataset.masks[1].read_bytes()[:100])
        with pytest.raises(ValueError, match=dataset.masks[1].name):
            count_labels(dataset, workers)

    def test_no_image_is_read(self, tmp_path):
        make_voc_like(tmp_path, 4, (40, 50))
        dataset = VOCSegmentationDataset(tmp_path, split="train", mode="val")
        expected = count_labels(dataset)
        for image in dataset.images:
            image.write_bytes(b"")
        np.testing.assert_array_equal(count_labels(dataset), expected)

    def test_more_pixels_than_32_bits_count(self, voc, monkeypatch):
        small = np.bincount([3], minlength=22)[1:]
        monkeypatch.setattr(np, "bincount", lambda *a, **k: np.append(0, small * 2**30))
        assert count_labels(voc, 0).sum() == len(voc) * 2**30

    def test_a_data_set_without_masks_is_refused(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, split="train", mode="test")
        dataset.masks = []
        with pytest.raises(ValueError, match="no masks"):
            count_labels(dataset)

    def test_negative_workers_are_refused(self, voc):
        with pytest.raises(ValueError, match="workers -1"):
            count_labels(voc, -1)

    def test_the_bar(self, voc, capsys):
        count_labels(voc, progress=True)
        assert "counting labels" in capsys.readouterr().err
        count_labels(voc, progress=False)
        assert not capsys.readouterr().err


class TestMapAhead:
    @pytest.mark.parametrize("workers", [0, 1, 4])
    def test_results_come_in_order(self, workers):
        assert list(prefetch_map(lambda x: x * x, range(100), workers)) == [
            x * x for x in range(100)
        ]

    def test_threads_run_a_bounded_number_of_items_ahead(self):
        taken = []
        results = prefetch_map(lambda x: x, (taken.append(i) or i for i in range(1000)), 2)
        next(results)
        assert len(taken) < 20
        results.close()
        assert len(taken) < 20

    def test_memory_does_not_grow_with_the_number_of_items(self):
        def peak(number):
            tracemalloc.start()
            for _ in prefetch_map(lambda x: np.zeros(10000), range(number), 2):
                pass
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size

        peak(50)
        assert peak(1000) < 2 * peak(100)

    def test_an_error_ends_the_threads(self):
        before = threading.active_count()
        with pytest.raises(ZeroDivisionError):
            list(prefetch_map(lambda x: 1 // x, [1, 0, 1], 2))
        assert threading.active_count() == before


class TestClassWeights:
    def test_median(self):
        weights = class_weights(np.array([700, 100, 200, 0]), "median")
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights, [2 / 7, 2, 1, 0], rtol=1e-6)

    def test_the_median_of_an_even_number_lies_between(self):
        weights = class_weights(np.array([100, 300]), "median")
        np.testing.assert_allclose(weights, [2, 2 / 3], rtol=1e-6)

    def test_inverse_log(self):
        weights = class_weights(np.array([900, 100, 0]), "inverse-log")
        assert weights.dtype == np.float32
        expected = [1 / np.log(1.92), 1 / np.log(1.12), 1 / np.log(1.02)]
        np.testing.assert_allclose(weights, expected, rtol=1e-6)

    @pytest.mark.parametrize("kind", ["median", "inverse-log"])
    def test_weights_depend_on_shares_alone(self, kind):
        counts = np.array([5, 3, 0, 12])
        many = counts.astype(np.int64) * 2**50
        np.testing.assert_allclose(class_weights(many, kind), class_weights(counts, kind))

    @pytest.mark.parametrize("kind", ["median", "inverse-log"])
    def test_equal_classes_weigh_the_same(self, kind):
        assert len(set(class_weights(np.array([7, 7, 7]), kind).tolist())) == 1

    @pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [], [[1, 2]]])
    def test_wrong_counts_are_refused(self, counts):
        with pytest.raises(ValueError, match="counts"):
            class_weights(np.array(counts), "median")

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(ValueError, match="median, inverse-log"):
            class_weights(np.array([1, 2]), "inverse")
