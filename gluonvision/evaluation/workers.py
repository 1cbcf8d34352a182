"""One process's part of an evaluation. The first process writes the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import Sampler, SegmentationDataset
from gluonvision.evaluation import report, server_masks
from gluonvision.evaluation.report_page import Sample, to_html, worst_images
from gluonvision.evaluation.whole_images import evaluate
from gluonvision.metrics import SegmentationScores, bootstrap
from gluonvision.plots.confusion_matrix import draw_confusion
from gluonvision.prediction.inference import predict
from gluonvision.runs.environment import describe_environment
from gluonvision.utils import atomic

if TYPE_CHECKING:
    from gluonvision.evaluation.job import Evaluation


def score(job: Evaluation) -> SegmentationScores:
    """Score this process's images; all processes return the scores of all images."""
    data = job.data("val")
    net = job.build(backend.devices(job.ngpus, job.no_cuda))
    _check_classes(net, data)
    scores = evaluate(
        net,
        data,
        job.inference.batch_size,
        job.workers,
        job.inference,
        job.boundary,
        per_image=job.html or job.bootstrap > 0,
    )
    if backend.rank() == 0:
        _write_report(job, net, data, scores)
    return scores


def write_masks(job: Evaluation) -> None:
    """Predict the missing masks of this process's images."""
    data, folder = job.data("test"), job.folder("masks")
    shard = Sampler(len(data), False, 0, backend.rank(), backend.world_size(), equal=False)
    files = {i: server_masks.mask_file(folder, data.images[i]) for i in shard.order(0)}
    missing = [i for i, file in files.items() if not file.exists()]
    if backend.rank() == 0 and len(missing) < len(files):
        print(f"{len(files) - len(missing)} masks already exist in {folder} and are skipped")
    net = job.build(backend.devices(job.ngpus, job.no_cuda))
    _check_classes(net, data)
    for i in tqdm(missing, unit="image", desc="predicting", disable=backend.rank() > 0):
        image, _ = data[i]
        mask = server_masks.server_mask(predict(net, image, job.inference), data.meta)
        with atomic.replacing(files[i]) as file:
            mask.save(file, format="PNG")


def _check_classes(net: Any, data: SegmentationDataset) -> None:
    num_classes = getattr(net, "nclass", data.num_class)
    if num_classes != data.num_class:
        raise ValueError(
            f"the model has {num_classes} classes and {data.meta.name} has {data.num_class}; pass "
            "the data set that the model was trained on (--dataset)"
        )


def _write_report(
    job: Evaluation, net: Any, data: SegmentationDataset, scores: SegmentationScores
) -> None:
    intervals = None
    if job.bootstrap and scores.images is not None:
        intervals = bootstrap(scores.images, job.bootstrap)
    found = report.Report(
        job.name,
        job.split,
        data.meta,
        scores,
        tuple(data.images),
        job.settings() | {"environment": describe_environment()},
        intervals,
    )
    figure = draw_confusion(scores.confusion, data.classes, found.title)
    files: dict[str, str | bytes] = {
        report.SCORES: report.to_json(found),
        report.CONFUSION: report.confusion_csv(found),
        report.FIGURE: figure,
    }
    if scores.images is not None:
        files[report.IMAGES] = report.images_csv(found)
    if job.html:
        chosen = tqdm(worst_images(found), unit="image", desc="drawing", leave=False)
        samples = [_sample(job, net, data, number) for number in chosen]
        files[report.PAGE] = to_html(found, samples, figure)
    folder = job.folder("eval")
    report.write_files(folder, files)
    print(report.to_text(found))
    print(f"written to {folder}: {', '.join(sorted(files))}")


def _sample(job: Evaluation, net: Any, data: SegmentationDataset, number: int) -> Sample:
    image, label = data[number]
    mask: np.ndarray = predict(net, image, job.inference)
    return Sample(number, image, label, mask)
