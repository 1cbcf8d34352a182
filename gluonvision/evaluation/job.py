"""An evaluation: which weights, on which data, and with which inference settings."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gluonvision import backend
from gluonvision.data import SegmentationDataset, get_segmentation_dataset
from gluonvision.evaluation import server_masks, workers
from gluonvision.metrics import SegmentationScores
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.model_zoo.weights.store import find_weights, get_weights
from gluonvision.prediction.inference import Inference
from gluonvision.prediction.large_read import image_height_width
from gluonvision.runs.artifacts import BEST, CONFIG, load_run, run_weights
from gluonvision.runs.checkpoint import is_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.factory import build_model
from gluonvision.runs.start import Start
from gluonvision.utils.hashing import file_digest


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Weights to evaluate, the data set, and the inference settings.

    Attributes:
        build: makes the net on a list of devices. It is pickled if there are several processes.
        name: name of the model, for reports.
        weights: file of the weights.
        home: results go to ``eval/SPLIT`` and ``masks/SPLIT`` in this folder, unless there is an
            ``output_folder``.
        boundary: compute boundary IoU too.
        bootstrap: number of resamples for confidence intervals; 0 for none.
        html: write an HTML report too.
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

    def __post_init__(self) -> None:
        if self.workers < 0 or self.bootstrap < 0:
            raise ValueError(
                f"workers={self.workers}, bootstrap={self.bootstrap}: expected 0 or more"
            )

    def folder(self, kind: str) -> Path:
        """The folder of the results of a kind, 'eval' or 'masks'."""
        return self.output_folder or self.home / kind / self.split

    def data(self, mode: str) -> SegmentationDataset:
        """Open the split as whole images, with masks (mode 'val') or without (mode 'test')."""
        return get_segmentation_dataset(
            self.dataset, self.data_folder, self.split, mode, skip_broken=self.skip_broken
        )

    def scores(self) -> SegmentationScores:
        """Evaluate on all devices, print the scores, and write the report."""
        self.data("val")  # raises before any process starts if the data set is wrong
        return self._launch(workers.score)

    def masks(self) -> Path:
        """Predict a mask for every image on all devices, in the format of the test server.

        Existing masks are skipped, so an interrupted job can be repeated. All masks are checked at
        the end.

        Returns:
            The folder of the masks. A mask has the name of its image.

        Raises:
            ValueError: the folder holds masks of other weights or settings.
        """
        folder, images = self.folder("masks"), self.data("test")
        server_masks.check_names(images.images)
        server_masks.file_values(images.meta)  # raises if the classes do not fit into a byte
        settings = self.settings()
        if backend.rank() == 0:
            server_masks.reserve(folder, {name: settings[name] for name in ("sha256", "options")})
        self._launch(workers.write_masks)
        if backend.rank() == 0:
            for file in tqdm(images.images, unit="mask", desc="checking", leave=False):
                mask = server_masks.mask_file(folder, file)
                server_masks.check_mask(mask, images.meta, image_height_width(file))
        return folder

    def settings(self) -> dict[str, Any]:
        """Everything that the results depend on, as JSON can hold it."""
        return {
            "weights": str(self.weights),
            "sha256": file_digest(self.weights),
            "inference": _describe(self.inference),
            "options": dataclasses.asdict(dataclasses.replace(self.inference, batch_size=1)),
        }

    def _launch(self, work: Callable) -> Any:
        return backend.launch(work, self, backend.device_count(self.ngpus, self.no_cuda))


def evaluate_config(config: TrainConfig) -> SegmentationScores:
    """Evaluate ``config.resume``, or the run's best weights, on ``config.val_split``.

    Prints the scores and writes the report.
    """
    return evaluation_of_config(config).scores()


def write_masks(config: TrainConfig) -> Path:
    """Predict test-server masks of ``config.val_split`` with those weights; returns the folder."""
    return evaluation_of_config(config).masks()


def evaluation_of_config(config: TrainConfig) -> Evaluation:
    """Make the evaluation of the weights that a configuration names, or of its run's best."""
    if is_checkpoint(config.resume):
        raise ValueError(
            f"{config.resume} is a checkpoint; pass its run's weights (checkpoint.params) instead"
        )
    uses_best = config.resume in (None, "auto")
    weights = config.folder / BEST if uses_best else Path(str(config.resume))
    if not weights.is_file():
        raise FileNotFoundError(f"{weights}: no such file; pass the weights with --resume FILE")
    if uses_best and backend.rank() == 0:
        print(
            f"weights: {weights}, the best of run {config.checkname!r} by validation mIoU; choose "
            "others with --resume FILE"
        )
    is_run = weights.with_name(CONFIG).is_file()
    return Evaluation(
        partial(build_model, config, start=Start(weights=weights)),
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


def evaluation_of_run(weights: str, **options: Any) -> Evaluation:
    """Make the evaluation of a run.

    Args:
        weights: the run's weights or folder, as for ``run_weights``.
        options: fields of ``Evaluation``. Data set and data folder default to the run's.
    """
    path = run_weights(weights)
    config = TrainConfig.from_json(path.with_name(CONFIG))
    dataset = options.pop("dataset", None) or config.dataset
    own_folder = config.data_folder if dataset == config.dataset else None
    return Evaluation(
        partial(_build_run, path),
        f"{config.model}, {config.backbone}",
        path,
        path.parent,
        dataset,
        options.pop("data_folder", None) or own_folder,
        **options,
    )


def evaluation_of_model(name: str, **options: Any) -> Evaluation:
    """Make the evaluation of a published model, by default on the data set of its classes."""
    get_weights(name)  # raises for an unknown name before anything is downloaded
    own_dataset = dataset_of(name)
    dataset = options.pop("dataset", None) or own_dataset
    return Evaluation(
        partial(_build_published, name),
        name,
        find_weights(name).path,
        Path("runs") / dataset / name,
        dataset,
        **options,
    )


def _build_run(weights: Path, devices: list) -> Any:
    net, _ = load_run(weights)
    return _to_devices(net, devices)


def _build_published(name: str, devices: list) -> Any:
    return _to_devices(get_model(name, pretrained=True), devices)


def _to_devices(net: Any, devices: list) -> Any:
    net.collect_params().reset_ctx(devices if len(devices) > 1 else devices[0])
    return net


def _describe(inference: Inference) -> str:
    parts = [f"scales {', '.join(f'{scale:g}' for scale in inference.scales)}"]
    if inference.base_size:
        parts.append(f"of a long side of {inference.base_size}")
    parts.append(f"windows of {inference.window}" if inference.window else "whole images")
    if inference.flip:
        parts.append("with the mirror image")
    if inference.gluoncv:
        parts.append("as GluonCV")
    return ", ".join(parts)
