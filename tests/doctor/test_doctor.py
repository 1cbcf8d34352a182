"""The data doctor: each fault planted alone and all together, on every data set that is there."""

import html
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from miniatures import make_ade20k, make_camvid, make_cityscapes, make_coco, make_sbd, save_mat
from PIL import Image
from png_files import png_of

from gluonvision.__main__ import main
from gluonvision.data import VOCSegmentationDataset, get_segmentation_dataset
from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.doctor import examine, page, write_html
from gluonvision.doctor.facts import read_image

NUM_IMAGES, SIZE = 9, (60, 80)


@pytest.fixture
def folder(tmp_path):
    """The folder VOC2012 of a clean generated set, six train and three val, to plant faults in."""
    return make_voc_like(tmp_path, NUM_IMAGES, SIZE)


def image(folder, number):
    return folder / "JPEGImages" / f"2012_{number:06d}.jpg"


def mask(folder, number):
    return folder / "SegmentationClass" / f"2012_{number:06d}.png"


def values(folder, number):
    return np.array(Image.open(mask(folder, number)))


def write_mask(folder, number, array):
    """Keep the palette: only the values are to differ."""
    picture = Image.fromarray(array.astype(np.uint8))
    picture.putpalette(Image.open(mask(folder, number)).getpalette())
    picture.save(mask(folder, number))
    return mask(folder, number)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def missing_image(folder):
    image(folder, 0).unlink()
    return image(folder, 0)


def missing_mask(folder):
    mask(folder, 1).unlink()
    return mask(folder, 1)


def text_as_image(folder):
    image(folder, 2).write_text("<html>404</html>", encoding="utf-8")
    return image(folder, 2)


def folder_as_mask(folder):
    mask(folder, 3).unlink()
    mask(folder, 3).mkdir()
    return mask(folder, 3)


def other_size(folder):
    Image.open(mask(folder, 4)).resize((40, 30), Image.NEAREST).save(mask(folder, 4))
    return mask(folder, 4)


def wrong_value(folder):
    array = values(folder, 5)
    array[:2, :10] = 77
    return write_mask(folder, 5, array)


def binary(folder):
    return write_mask(folder, 6, (values(folder, 6) > 0) * 255)


def unlabelled(folder):
    return write_mask(folder, 7, np.full(SIZE, 255))


def colour_mask(folder):
    Image.open(mask(folder, 8)).convert("RGB").save(mask(folder, 8))
    return mask(folder, 8)


def jpeg_mask(folder):
    Image.open(mask(folder, 0)).convert("L").save(mask(folder, 0), "JPEG")
    return mask(folder, 0)


def zeros_at_the_end(folder):
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(noise).save(image(folder, 2), quality=95)
    content = image(folder, 2).read_bytes()
    image(folder, 2).write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    return image(folder, 2)


def grey_of_four_bits(folder):
    rows = bytes(SIZE[0] * (1 + SIZE[1] // 2))
    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 4, 0, 0, 0, 0)
    mask(folder, 3).write_bytes(png_of((b"IHDR", header), (b"IDAT", zlib.compress(rows))))
    return mask(folder, 3)


def shuffled_palette(folder):
    picture = Image.open(mask(folder, 1))
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
    picture.save(mask(folder, 1))
    return mask(folder, 1)


def again(folder, number, mode=None, **options):
    picture = Image.open(image(folder, number))
    picture = picture.convert(mode) if mode else picture
    picture.save(image(folder, number), **options)
    return image(folder, number)


def tagged(folder, number, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return again(folder, number, exif=exif)


def deep(folder):
    array = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE) * 9
    Image.fromarray(array).save(image(folder, 5), "PNG")
    return image(folder, 5)


def turned_and_fitting(folder):
    file = tagged(folder, 4, 6)
    picture = Image.open(mask(folder, 4)).transpose(Image.Transpose.ROTATE_270)
    picture.save(mask(folder, 4))
    return file


def turned_mask(folder):
    tagged(folder, 4, 6)
    return mask(folder, 4)


def copied(source, target):
    def plant(folder):
        shutil.copy(image(folder, source), image(folder, target))
        return image(folder, target)

    return plant


def cut_and_closed(folder):
    content = image(folder, 2).read_bytes()
    image(folder, 2).write_bytes(content[: len(content) * 2 // 3].rstrip(b"\xff") + b"\xff\xd9")
    return image(folder, 2)


def lonely_mask(folder):
    shutil.copy(mask(folder, 0), mask(folder, 100))
    return mask(folder, 100)


def lonely_image(folder):
    # Not a copy: that would be no duplicate either, as no list names it, but clearer so.
    Image.new("RGB", (9, 9)).save(image(folder, 100))
    return image(folder, 100)


FAULTS = [
    ("missing-image", "error", missing_image),
    ("missing-mask", "error", missing_mask),
    ("broken-image", "error", lambda folder: truncate(image(folder, 2))),
    ("broken-image", "error", text_as_image),
    ("broken-mask", "error", lambda folder: truncate(mask(folder, 3))),
    ("broken-image", "error", zeros_at_the_end),
    ("broken-mask", "error", folder_as_mask),
    ("broken-mask", "error", grey_of_four_bits),
    ("size-mismatch", "error", other_size),
    ("turned-mask", "error", turned_mask),
    ("wrong-values", "error", wrong_value),
    ("colour-mask", "error", colour_mask),
    ("lossy-mask", "error", jpeg_mask),
    ("deep-image", "error", deep),
    ("binary-mask", "warning", binary),
    ("unlabelled-image", "warning", unlabelled),
    ("other-palette", "warning", shuffled_palette),
    ("exif-unsure", "warning", lambda folder: tagged(folder, 2, 3)),
    ("grey-end", "warning", cut_and_closed),
    ("cmyk-image", "warning", lambda folder: again(folder, 2, "CMYK")),
    ("duplicate", "warning", copied(0, 3)),
    ("duplicate-across-splits", "warning", copied(0, 7)),
    ("mask-without-image", "warning", lonely_mask),
    ("exif-turned", "note", turned_and_fitting),
    ("grey-image", "note", lambda folder: again(folder, 2, "L")),
    ("palette-image", "note", lambda folder: again(folder, 2, "P", format="PNG")),
    ("alpha-image", "note", lambda folder: again(folder, 2, "RGBA", format="PNG")),
    ("odd-image", "note", lambda folder: again(folder, 2, "YCbCr", format="TIFF")),
    ("image-without-mask", "note", lonely_image),
]


def found(report):
    return {finding.code: finding for finding in report.findings}


@pytest.mark.parametrize(("mode", "expected"), [("RGBA", True), ("LA", True), ("LAB", False)])
def test_transparency_is_told_by_the_alpha_channel(mode, expected, tmp_path):
    Image.new(mode, (4, 4)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").transparent is expected


def test_a_clean_set_has_no_warning(voc_like):
    report = examine("pascal_voc", voc_like)
    # Six pictures do not hold all 21 classes.
    assert [finding.code for finding in report.findings] == ["absent-class"]
    assert report.findings[0].severity == "note" and not report.has_errors
    assert [(s.name, s.images, s.masks) for s in report.statistics.splits] == [
        ("train", 4, 4),
        ("val", 2, 2),
    ]


@pytest.mark.parametrize("code, severity, plant", FAULTS)
def test_one_fault_is_found_with_its_file(folder, code, severity, plant):
    file = plant(folder)
    report = examine("pascal_voc", folder, workers=0)
    finding = found(report)[code]
    assert (finding.severity, finding.count) == (severity, 1)
    assert [example.file for example in finding.files] == [file]
    assert finding.fix
    assert report.has_errors == (severity == "error")
    # And nothing else is said, but what the classes that are left imply.
    implied = {"absent-class", "untrained-class", "lossy-mask", "wrong-values"}
    assert found(report).keys() - implied <= {code}
    assert file.name in report.to_text()


def test_all_faults_are_found_together(tmp_path):
    folder = make_voc_like(tmp_path, 30, SIZE)
    lists = folder / "ImageSets" / "Segmentation"
    planted = {
        "broken-image": truncate(image(folder, 2)),
        "broken-mask": truncate(mask(folder, 3)),
        "size-mismatch": other_size(folder),
        "wrong-values": wrong_value(folder),
        "binary-mask": binary(folder),
        "unlabelled-image": unlabelled(folder),
        "colour-mask": colour_mask(folder),
        "missing-image": missing_image(folder),
        "missing-mask": missing_mask(folder),
        "duplicate": copied(10, 11)(folder),
        "duplicate-across-splits": copied(12, 25)(folder),
        "cmyk-image": again(folder, 13, "CMYK"),
        "exif-unsure": tagged(folder, 14, 2),
        "mask-without-image": lonely_mask(folder),
    }
    assert len((lists / "train.txt").read_text(encoding="utf-8").split()) == 20
    findings = found(examine("pascal_voc", folder))
    for code, file in planted.items():
        assert (findings[code].count, findings[code].files[0].file) == (1, file), code


def test_counts_are_those_of_the_labels(voc_like):
    dataset = VOCSegmentationDataset(voc_like, "train", mode="val")
    labels = [dataset[index][1] for index in range(len(dataset))]
    split = examine(dataset).statistics.splits[0]
    with pytest.raises(ValueError, match="has its own"):
        examine(dataset, splits=["val"])
    assert [entry.pixels for entry in split.classes] == [
        sum(int((array == label).sum()) for array in labels) for label in range(21)
    ]
    assert [entry.images for entry in split.classes] == [
        sum(bool((array == label).any()) for array in labels) for label in range(21)
    ]
    assert split.unlabelled == sum(int((array == -1).sum()) for array in labels)
    assert split.labelled + split.unlabelled == sum(array.size for array in labels)


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_do_not_change_the_report(folder, workers):
    wrong_value(folder)
    copied(0, 7)(folder)
    alone, together = (examine("pascal_voc", folder, workers=n) for n in (0, workers))
    assert alone == together


def test_many_files_are_counted_and_few_are_kept(tmp_path):
    folder = make_voc_like(tmp_path, 24, SIZE)
    for number in range(24):
        write_mask(folder, number, np.full(SIZE, 99))
    finding = found(examine("pascal_voc", folder))["wrong-values"]
    assert finding.count == 24 and len(finding.files) == 6
    assert "... and 18 more" in examine("pascal_voc", folder).to_text()


def test_labels_from_one_on_are_suspected(folder):
    for number in range(NUM_IMAGES):
        array = values(folder, number)
        write_mask(folder, number, np.where(array == 255, 255, array + 1))
    report = examine("pascal_voc", folder)
    assert "start at 1" in found(report)["off-by-one"].message
    last = values(folder, 0)
    last[:3] = 21
    write_mask(folder, 0, last)
    findings = found(examine("pascal_voc", folder))
    assert "from 1 to 21" in findings["off-by-one"].message and "wrong-values" in findings


def make_ade(root, labels):
    for name in ("images", "annotations"):
        (root / name / "validation").mkdir(parents=True)
    for number, array in enumerate(labels):
        noise = np.random.default_rng(number).integers(0, 256, (*array.shape, 3), np.uint8)
        Image.fromarray(noise).save(root / "images" / "validation" / f"{number}.jpg")
        picture = Image.fromarray(array.astype(np.uint8))
        picture.save(root / "annotations" / "validation" / f"{number}.png")
    return root


def test_a_zero_label_reduced_before_is_suspected(tmp_path):
    labels = np.random.default_rng(0).integers(0, 140, (4, 20, 30))
    reduced = np.where(labels == 0, 255, labels - 1)
    clean = examine("ade20k", make_ade(tmp_path / "clean", labels), ["val"])
    shifted = examine("ade20k", make_ade(tmp_path / "shifted", reduced), ["val"])
    assert "off-by-one" not in found(clean) and not clean.has_errors
    assert "reduce_zero_label" in found(shifted)["off-by-one"].message
    assert shifted.statistics.splits[0].wrong == (reduced == 255).sum()


def test_a_set_of_binary_masks_is_an_error(folder):
    for number in range(NUM_IMAGES):
        write_mask(folder, number, (values(folder, number) > 0) * 255)
    assert found(examine("pascal_voc", folder))["binary-mask"].severity == "error"


def test_a_palette_of_ones_own_is_a_note(folder):
    for number in range(NUM_IMAGES):
        picture = Image.open(mask(folder, number))
        picture.putpalette(bytes(range(256)) * 3)
        picture.save(mask(folder, number))
    assert found(examine("pascal_voc", folder))["other-palette"].severity == "note"


def test_duplicates_say_how_alike_they_are(folder):
    copied(0, 7)(folder)
    Image.open(image(folder, 1)).save(image(folder, 8), "PNG")
    details = [
        e.detail for e in found(examine("pascal_voc", folder))["duplicate-across-splits"].files
    ]
    assert details == [
        "identical to 2012_000000.jpg of train",
        "same pixels as 2012_000001.jpg of train",
    ]
    overlap = found(examine("pascal_voc", folder, ["val", "trainval"]))
    assert overlap["duplicate-across-splits"].files[0].detail == "also listed in val"


def test_a_class_that_is_only_in_val(folder):
    array = values(folder, 8)
    array[array == 0] = 20
    write_mask(folder, 8, array)
    findings = found(examine("pascal_voc", folder))
    assert "tvmonitor" in findings["untrained-class"].message


def make_folder(root, names, masks, **facts):
    for inner in ("images", "masks"):
        (root / inner).mkdir(parents=True)
    for number, picture in enumerate(masks):
        noise = np.random.default_rng(number).integers(0, 256, (*picture.shape[:2], 3), np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{number}.png")
        Image.fromarray(picture.astype(np.uint8)).save(root / "masks" / f"{number}.png")
    (root / "dataset.json").write_text(json.dumps({"names": names, **facts}), encoding="utf-8")
    return root


def test_a_folder_of_ones_own_without_splits(tmp_path):
    masks = [np.eye(8) * 255, np.eye(8)[::-1] * 255]
    names = ["background", "object"]
    report = examine("folder", make_folder(tmp_path / "plain", names, masks))
    assert found(report)["binary-mask"].severity == "error"
    report = examine("folder", make_folder(tmp_path / "told", names, masks, values={255: 1}))
    assert report.findings == ()
    assert [entry.pixels for entry in report.statistics.splits[0].classes] == [112, 16]


def test_masks_of_colours(tmp_path):
    palette = [[0, 0, 0], [255, 0, 0]]
    masks = np.zeros((2, 8, 8, 3))
    masks[0, :2], masks[1, :4] = (255, 0, 0), (250, 0, 0)
    facts = {"palette": palette, "mask_format": "colours"}
    report = examine("folder", make_folder(tmp_path, ["ground", "thing"], masks, **facts))
    assert [finding.code for finding in report.findings] == ["wrong-values"]
    assert report.findings[0].files[0].detail == "#fa0000 (32 px)"
    deep = Image.fromarray(np.zeros((8, 8), np.uint16))
    deep.save(tmp_path / "masks" / "0.png")
    assert "number-mask" in found(examine("folder", tmp_path))


def test_what_only_the_whole_command_can_be_wrong_about(folder, tmp_path, capsys):
    assert main(["doctor", "--dataset", "pascal_voc", "--root", str(folder)]) == 0
    assert "Result: 1 note." in capsys.readouterr().out
    wrong_value(folder)
    assert main(["doctor", "--dataset", "pascal_voc", "--data-folder", str(folder)]) == 1
    for arguments in (
        ["--dataset", "pascal_vox", "--root", str(folder)],
        ["--dataset", "pascal_voc", "--root", str(tmp_path / "nowhere")],
        ["--dataset", "pascal_voc", "--root", str(folder), "--split", "trian"],
        ["--dataset", "pascal_voc", "--root", str(folder), "--workers", "-1"],
        ["--dataset", "folder"],
    ):
        assert main(["doctor", *arguments]) == 2
        assert "doctor: " in capsys.readouterr().err
    target = str(tmp_path / "no" / "page.html")
    arguments = ["--dataset", "pascal_voc", "--root", str(folder), "--html", target]
    assert main(["doctor", *arguments]) == 2


@pytest.mark.parametrize("arguments", [["docter"], ["doctor"], ["doctor", "--data"]])
def test_wrong_usage_ends_with_two(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_help_lists_the_commands_and_loads_no_framework(capsys, folder):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0 and "doctor" in capsys.readouterr().out
    code = (
        "import sys; from gluonvision.__main__ import main; "
        f"main(['doctor', '--dataset', 'pascal_voc', '--root', {str(folder)!r}]); "
        "assert not {'torch', 'mxnet'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


HOSTILE = "<img src=x onerror=alert(1)>&\"'\x1b[31m\n\udcff"


def test_hostile_names_are_escaped(folder, tmp_path):
    broken = folder / "SegmentationClass" / f"{HOSTILE}.png"
    shutil.copy(os.fsencode(mask(folder, 0)), os.fsencode(broken))
    report = examine("pascal_voc", folder)
    text = write_html(report, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img src=x" not in text and "\x1b" not in text
    assert html.escape("<img src=x onerror=alert(1)>&\"'\\x1b[31m\\n\\udcff.png") in text
    assert "\x1b" not in report.to_text() and "\\x1b[31m\\n\\udcff" in report.to_text()


def test_hostile_class_names_are_escaped(tmp_path):
    names = ["<script>alert(1)</script>", "b"]
    report = examine("folder", make_folder(tmp_path, names, [np.eye(8)]))
    assert "<script" not in page.to_html(report)


def test_the_page_needs_nothing_else(folder, tmp_path):
    wrong_value(folder)
    truncate(image(folder, 0))
    file = write_html(examine("pascal_voc", folder), tmp_path / "page.html")
    text = file.read_text(encoding="utf-8")
    sources = [part.split('"')[0] for part in text.split('src="')[1:]]
    assert len(sources) >= 4 and all(s.startswith("data:image/jpeg;base64,") for s in sources)
    for outside in ("http:", "https:", "<script", "<link", "url(", "@import"):
        assert outside not in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert "cannot be shown" in text and "wrong-values" in text


@pytest.mark.parametrize("stage", ["examining", "drawing", "writing"])
def test_an_interrupted_run_leaves_no_half_page(folder, tmp_path, monkeypatch, stage, capsys):
    target = tmp_path / "pages" / "page.html"
    target.parent.mkdir()
    target.write_text("before", encoding="utf-8")

    def interrupt(*_):
        raise KeyboardInterrupt

    places = {
        "examining": "gluonvision.doctor.read_sample",
        "drawing": "gluonvision.doctor.page.thumbnail",
        "writing": "os.fsync",
    }
    monkeypatch.setattr(
        places[stage], interrupt if stage == "writing" else lambda *_, **__: interrupt()
    )
    arguments = ["--dataset", "pascal_voc", "--root", str(folder), "--html", str(target)]
    assert main(["doctor", *arguments]) == 130
    assert target.read_text(encoding="utf-8") == "before"
    assert list(target.parent.iterdir()) == [target]


def peak_bytes(root):
    tracemalloc.start()
    examine("pascal_voc", root, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_files(tmp_path):
    small, large = 20, 200
    folder = make_voc_like(tmp_path / "set", small, (120, 160))
    lists = folder / "ImageSets" / "Segmentation"
    names = (lists / "train.txt").read_text(encoding="utf-8").split()
    peak_bytes(folder)
    before = peak_bytes(folder)
    # The same few files, listed often: no time is lost in drawing more.
    (lists / "train.txt").write_text("\n".join(names * (large // small)), encoding="utf-8")
    growth = peak_bytes(folder) - before
    added = len(names) * (large // small) - len(names)
    # A pixel array kept would be 57,600 bytes a file; names, paths and digests are within 2,000.
    assert growth < 2000 * added


@pytest.mark.posix
def test_pipes_do_not_hang(folder):
    image(folder, 0).unlink()
    os.mkfifo(image(folder, 0))
    report = examine("pascal_voc", folder)
    assert "not a regular file" in found(report)["broken-image"].files[0].detail
    assert "cannot be shown" in page.to_html(report)


def test_an_empty_list_and_a_missing_one(folder):
    lists = folder / "ImageSets" / "Segmentation"
    (lists / "train.txt").unlink()
    findings = found(examine("pascal_voc", folder))
    assert "train" in findings["absent-split"].message
    with pytest.raises(FileNotFoundError, match=r"train\.txt"):
        examine("pascal_voc", folder, ["train"])


SHARED = {
    "pascal_voc": (".", {"train": 3, "val": 2}),
    "coco": (".", {"val": 2}),
    "ade20k": (".", {"val": 3}),
    "camvid": (".", {"val": 101}),
    "folder": ("camvid", {"val": 101}),
}


@pytest.mark.parametrize("name", SHARED)
def test_real_sets_have_no_errors(shared_data, name):
    inner, splits = SHARED[name]
    report = examine(name, shared_data / inner, list(splits))
    assert not report.has_errors, report.to_text()
    assert {s.name: s.images for s in report.statistics.splits} == splits
    assert "<article" in page.to_html(report) or not report.findings


def test_real_counts_are_those_of_the_data_set(shared_data):
    dataset = get_segmentation_dataset("coco", shared_data, "val", "val", min_pixels=-1)
    labels = np.concatenate([dataset[index][1].ravel() for index in range(len(dataset))])
    split = examine("coco", shared_data, ["val"]).statistics.splits[0]
    assert [e.pixels for e in split.classes] == np.bincount(
        labels[labels >= 0], minlength=21
    ).tolist()
    assert split.unlabelled == (labels == -1).sum()


MINIATURES = {
    "pascal_aug": make_sbd,
    "ade20k": make_ade20k,
    "citys": make_cityscapes,
    "coco": make_coco,
    "camvid": make_camvid,
}


@pytest.mark.parametrize("name", MINIATURES)
def test_every_data_set_is_listed_read_and_shown(tmp_path, name):
    MINIATURES[name](tmp_path)
    report = examine(name, tmp_path)
    assert not report.has_errors, report.to_text()
    assert all(split.masks == split.images > 0 for split in report.statistics.splits)
    assert "cannot be shown" not in page.to_html(report)


@pytest.mark.parametrize("name", sorted(MINIATURES.keys() - {"coco"}))
def test_broken_and_missing_masks_of_every_data_set(tmp_path, name):
    MINIATURES[name](tmp_path)
    masks = get_segmentation_dataset(name, tmp_path, "train").masks
    truncate(masks[0])
    masks[1].unlink()
    findings = found(examine(name, tmp_path, ["train"]))
    assert [e.file for e in findings["broken-mask"].files] == [masks[0]]
    assert [e.file for e in findings["missing-mask"].files] == [masks[1]]


@pytest.mark.parametrize("name", ["pascal_aug", "ade20k", "coco", "camvid"])
def test_missing_images_of_every_data_set(tmp_path, name):
    MINIATURES[name](tmp_path)
    options = {"min_pixels": -1} if name == "coco" else {}
    images = get_segmentation_dataset(name, tmp_path, "train", **options).images
    images[0].unlink()
    findings = found(examine(name, tmp_path, ["train"]))
    # Where a folder is the list, an image that is not there is in no list either.
    listed = name in ("pascal_aug", "coco")
    assert ("missing-image" in findings) == listed
    assert ("mask-without-image" in findings) == (not listed)


def test_a_wrong_value_in_a_mat_file(tmp_path):
    make_sbd(tmp_path)
    dataset = get_segmentation_dataset("pascal_aug", tmp_path, "val")
    save_mat(dataset.masks[0], np.full(dataset[0][1].shape, 0) + 30)
    files = found(examine("pascal_aug", tmp_path, ["val"]))["wrong-values"].files
    assert files[0].file == dataset.masks[0] and files[0].detail.startswith("30 (")
