"""What trained weights are worth: scores on a split with a report, or masks for a test server."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import Sampler, get_segmentation_dataset
from gluonvision.evaluation import report, server_masks
from gluonvision.evaluation.report_page import Sample, to_html, worst_images
from gluonvision.evaluation.whole_images import evaluate
from gluonvision.metrics import SegmentationScores, bootstrap
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.model_zoo.weights.store import find_weights, get_weights
from gluonvision.plots.confusion_matrix import draw_confusion
from gluonvision.prediction.inference import Inference, predict
from gluonvision.prediction.large_read import image_height_width
from gluonvision.runs import factory
from gluonvision.runs.artifacts import BEST, CONFIG, load_run, run_weights
from gluonvision.runs.checkpoint import is_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.environment import describe_environment
from gluonvision.utils import atomic
from gluonvision.utils.hashing import file_digest


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Weights, the data that they are judged on, and how.

    ``build``: makes the net for a list of devices; it is pickled where there are several processes.
    ``name``: the model's, for people. ``home``: where results go, into ``eval/SPLIT`` and
    ``masks/SPLIT``, unless there is an ``output_folder``. ``bootstrap``: resamples for confidence
    intervals, 0 for none. ``html``: write a page too.
    """

    build: Callable[[list], Any]
    name: str
    weights: Path
    home: Path
    dataset: str
    data_folder: str | None = None
    split: str = "val"
    inference: Inference = dataclasses.field(default_factory=Inference)
    workers: int = 2
    no_cuda: bool = False
    ngpus: int | None = None
    skip_broken: bool = False
    boundary: bool = False
    bootstrap: int = 0
    html: bool = False
    output_folder: Path | None = None

    def __post_init__(self):
        if self.workers < 0 or self.bootstrap < 0:
            raise ValueError(
                f"workers={self.workers}, bootstrap={self.bootstrap}: expected 0 or more"
            )

    def folder(self, kind: str) -> Path:
        """Where results of a kind, 'eval' or 'masks', go."""
        return self.output_folder or self.home / kind / self.split

    def data(self, mode: str):
        """The split, whole images: mode 'val' with masks, 'test' without."""
        return get_segmentation_dataset(
            self.dataset, self.data_folder, self.split, mode, skip_broken=self.skip_broken
        )

    def scores(self) -> SegmentationScores:
        """Score the weights on all devices, print the scores, and write the report."""
        self.data("val")  # what is wrong with the data shows before processes start
        return self._launch(_score)

    def masks(self) -> Path:
        """Write a mask for every image of the split on all devices; their folder.

        As the data set's test server takes them (``server_masks``), called as the images. Files
        that are there already stay, so that it goes on where it was stopped; each is checked in
        the end. Raises ValueError where they were made by something else.
        """
        folder, images = self.folder("masks"), self.data("test")
        server_masks.check_names(images.images)
        server_masks.file_values(images.meta)  # raises where they do not fit
        facts = self.facts()
        if backend.rank() == 0:
            server_masks.reserve(folder, {name: facts[name] for name in ("sha256", "options")})
        self._launch(_write_masks)
        if backend.rank() == 0:
            for file in tqdm(images.images, unit="mask", desc="checking", leave=False):
                mask = server_masks.mask_file(folder, file)
                server_masks.check_mask(mask, images.meta, image_height_width(file))
        return folder

    def facts(self) -> dict[str, Any]:
        """What the results depend on."""
        return {
            "weights": str(self.weights),
            "sha256": file_digest(self.weights),
            "inference": _in_words(self.inference),
            "options": dataclasses.asdict(dataclasses.replace(self.inference, batch_size=1)),
        }

    def _launch(self, work):
        return backend.launch(work, self, backend.device_count(self.ngpus, self.no_cuda))


def evaluate_config(config: TrainConfig) -> SegmentationScores:
    """Scores of ``config.resume`` (default: the run's best weights), printed and written down.

    On whole images of ``config.val_split``, on all of the configuration's devices.
    """
    return _of_training(config).scores()


def write_masks(config: TrainConfig) -> Path:
    """Test-server masks of ``config.val_split``'s images by those weights; their folder."""
    return _of_training(config).masks()


def evaluation_of_run(weights: str, **options) -> Evaluation:
    """The assessment of a run, named by its weights or its folder, as for ``run_weights``.

    ``options`` are fields of ``Evaluation``; data set and, for that one, data folder default to
    the run's.
    """
    path = run_weights(weights)
    config = TrainConfig.from_json(path.with_name(CONFIG))
    dataset = options.pop("dataset", None) or config.dataset
    own_folder = config.data_folder if dataset == config.dataset else None
    return Evaluation(
        partial(_run_on, path),
        f"{config.model}, {config.backbone}",
        path,
        path.parent,
        dataset,
        options.pop("data_folder", None) or own_folder,
        **options,
    )


def evaluation_of_model(name: str, **options) -> Evaluation:
    """The assessment of a model with published weights, on its own data set by default."""
    get_weights(name)  # says which names there are, before anything is fetched
    own_dataset = dataset_of(name)
    dataset = options.pop("dataset", None) or own_dataset
    return Evaluation(
        partial(_published_on, name),
        name,
        find_weights(name).path,
        Path("runs") / dataset / name,
        dataset,
        **options,
    )


def _of_training(config: TrainConfig) -> Evaluation:
    """A configuration's, with weights that it names or, by default, the best of its run."""
    if is_checkpoint(config.resume):
        raise ValueError(f"{config.resume} is a state; name its run's checkpoint.params instead")
    named = factory.start_weights(config)
    weights = Path(named or config.folder / BEST)
    _check_exists(weights)
    if named is None and backend.rank() == 0:
        print(
            f"weights: {weights}, the best of the run {config.checkname!r} by the mIoU on its "
            "validation split; others by --resume FILE"
        )
    is_run = weights.with_name(CONFIG).is_file()
    return Evaluation(
        partial(factory.build_model, dataclasses.replace(config, resume=str(weights))),
        f"{config.model}, {config.backbone}",
        weights,
        weights.parent if is_run else config.folder,
        config.dataset,
        config.data_folder,
        config.val_split,
        Inference(batch_size=config.test_batch_size),
        config.workers,
        config.no_cuda,
        config.ngpus,
        config.skip_broken,
    )


def _check_exists(weights: Path):
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such file; name the weights by --resume FILE")


def _run_on(weights, devices):
    net, _ = load_run(weights)
    return _placed(net, devices)


def _published_on(name, devices):
    return _placed(get_model(name, pretrained=True), devices)


def _placed(net, devices):
    net.collect_params().reset_ctx(devices if len(devices) > 1 else devices[0])
    return net


def _score(job: Evaluation) -> SegmentationScores:
    """One process's part; the first one writes."""
    data = job.data("val")
    net = job.build(backend.devices(job.ngpus, job.no_cuda))
    _check_classes(net, data)
    per_image = job.html or job.bootstrap > 0
    scores = evaluate(
        net, data, job.inference.batch_size, job.workers, job.inference, job.boundary, per_image
    )
    if backend.rank() == 0:
        _report(job, net, data, scores)
    return scores


def _check_classes(net, data):
    number = getattr(net, "nclass", data.num_class)
    if number != data.num_class:
        raise ValueError(
            f"the model has {number} classes and {data.meta.name} has {data.num_class}; name the "
            "data set that it was trained for (--dataset)"
        )


def _report(job, net, data, scores):
    limits = bootstrap(scores.images, job.bootstrap) if job.bootstrap else None
    found = report.Report(
        job.name,
        job.split,
        data.meta,
        scores,
        tuple(data.images),
        job.facts() | {"environment": describe_environment()},
        limits,
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


def _sample(job, net, data, number):
    image, label = data[number]
    return Sample(number, image, label, predict(net, image, job.inference))


def _in_words(inference: Inference) -> str:
    parts = [f"scales {', '.join(f'{scale:g}' for scale in inference.scales)}"]
    if inference.base_size:
        parts.append(f"of a long side of {inference.base_size}")
    parts.append(f"windows of {inference.window}" if inference.window else "whole images")
    if inference.flip:
        parts.append("with the mirror image")
    if inference.gluoncv:
        parts.append("as GluonCV")
    return ", ".join(parts)


def _write_masks(job: Evaluation):
    images, folder = job.data("test"), job.folder("masks")
    shard = Sampler(len(images), False, 0, backend.rank(), backend.world_size(), equal=False)
    missing = [
        i for i in shard.order(0) if not server_masks.mask_file(folder, images.images[i]).exists()
    ]
    if backend.rank() == 0 and len(missing) < len(shard):
        print(f"{len(shard) - len(missing)} masks are in {folder} already, and stay")
    net = job.build(backend.devices(job.ngpus, job.no_cuda))
    _check_classes(net, images)
    for i in tqdm(missing, unit="image", desc="writing masks", disable=backend.rank() > 0):
        image, _ = images[i]
        mask = server_masks.server_mask(predict(net, image, job.inference), images.meta)
        with atomic.replacing(server_masks.mask_file(folder, images.images[i])) as file:
            mask.save(file, format="PNG")
