"""The folder of a run: prepare it, and save into it."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gluonvision import backend
from gluonvision.data import dataset_meta
from gluonvision.runs import checkpoint
from gluonvision.runs.artifacts import (
    BEST,
    CLASSES,
    WEIGHTS,
    save_classes,
    save_config,
    save_weights,
    saved_classes,
)
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.environment import describe_environment
from gluonvision.runs.run_log import LOG_NAME, read_log
from gluonvision.runs.start import Start
from gluonvision.utils import atomic
from gluonvision.utils.locking import locked

_ENVIRONMENT = "environment.json"


class RunFolder:
    """The folder in which the run of ``config`` keeps its files."""

    def __init__(self, config: TrainConfig):
        self.config, self.path = config, config.folder
        self.checkpoints = self.path / checkpoint.CHECKPOINTS

    @contextlib.contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other processes out of the folder while the block runs.

        Raises:
            BlockingIOError: another process trains in the folder.
        """
        try:
            with locked(self.path, wait=False):
                yield
        except BlockingIOError:
            raise BlockingIOError(
                f"another process trains in {self.path}; wait until it ends, or choose another "
                "--checkname"
            ) from None

    def prepare(self, start: Start, num_images: int) -> None:
        """Make the folder ready for training on ``num_images`` images.

        Continuing from an earlier checkpoint sets later ones aside. Nothing is changed before all
        checks have passed.

        Raises:
            FileExistsError: another run would be overwritten.
            ValueError: the checkpoint is damaged, or was saved with other options or data.
        """
        continues = False
        if start.checkpoint is not None:
            _, header = checkpoint.read_checkpoint(start.checkpoint)
            self._check_config(start.checkpoint, header["config"])
            self._check_data(start.checkpoint, header["batches"]["length"], num_images)
            continues = start.checkpoint.parent.resolve() == self.checkpoints.resolve()
        if start.checkpoint is not None and continues:
            self._go_back_to(start.checkpoint)
        elif self._is_used():
            self._move_aside()
        self._remove_leftovers()
        save_config(self._with_recorded_weights(start))
        if not (continues and (self.path / CLASSES).is_file()):
            save_classes(self.config)
        self._record_environment()

    def save_checkpoint(
        self,
        step: int,
        arrays: Mapping[str, np.ndarray],
        header: Mapping[str, Any],
        best_step: int,
    ) -> None:
        """Write a checkpoint, and remove old ones beyond ``config.keep``."""
        header = {**header, "config": self.config.fixed_options()}
        newest = checkpoint.save_checkpoint(self.checkpoints, step, arrays, header)
        checkpoint.remove_old(newest, self.config.keep, best_step)

    def save_weights(self, arrays: Mapping[str, np.ndarray], name: str = WEIGHTS) -> None:
        """Write weights for evaluation, fine-tuning and the other backend."""
        save_weights(self.path / name, arrays)

    def _with_recorded_weights(self, start: Start) -> TrainConfig:
        """The configuration to save: it remembers the weights that the run first started from."""
        if start.weights is None:
            return self.config
        return dataclasses.replace(self.config, resume=str(start.weights))

    def _record_environment(self) -> None:
        """Append an entry: one for every time that the run is started or resumed."""
        path = self.path / _ENVIRONMENT
        entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        text = json.dumps([*entries, describe_environment()], indent=2) + "\n"
        atomic.write_text(path, text)

    def _go_back_to(self, saved: Path) -> None:
        """Set aside later checkpoints, and the best weights if they are later."""
        log = self.path / LOG_NAME
        records = read_log(log) if log.is_file() else []
        validated = [r for r in records if r["kind"] == "epoch" and r["mean_iou"] is not None]
        best = max(validated, key=lambda record: record["mean_iou"], default=None)
        checkpoint.set_aside_later(saved)
        if best is not None and best["step"] > checkpoint.step_of(saved):
            for path in self.path.glob(f"{BEST}*"):
                if path.suffix != checkpoint.SUPERSEDED:
                    path.replace(path.with_name(path.name + checkpoint.SUPERSEDED))

    def _remove_leftovers(self) -> None:
        """Remove half-written files of a run or an export that was killed."""
        for folder in (self.path, self.checkpoints):
            for leftover in folder.glob(atomic.TEMPORARY):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()

    def _is_used(self) -> bool:
        return (self.path / WEIGHTS).exists() or bool(checkpoint.list_checkpoints(self.checkpoints))

    def _move_aside(self) -> None:
        if not self.config.overwrite:
            raise FileExistsError(
                f"{self.path} already holds a run; continue it with --resume auto (if it has "
                "checkpoints), choose another --checkname, or replace it with --overwrite"
            )
        old = self.path.with_name(f"{self.path.name}.replaced")
        resume = self.config.resume
        if resume and self.path.resolve() in Path(resume).resolve().parents:
            raise ValueError(
                f"--overwrite would move {resume}, which --resume needs; choose another --checkname"
            )
        shutil.rmtree(old, ignore_errors=True)
        self.path.rename(old)

    def _check_config(self, saved_at: Path, saved: Mapping[str, Any]) -> None:
        options = self.config.fixed_options()
        different = {
            name: value for name, value in options.items() if saved.get(name, value) != value
        }
        if "ngpus" in different and self._num_devices(saved["ngpus"]) == self._num_devices(
            self.config.ngpus
        ):
            del different["ngpus"]  # the default once, the same number the other time
        if different:
            changes = "; ".join(f"{n}: {saved[n]!r}, now {v!r}" for n, v in different.items())
            raise ValueError(
                f"the run of {saved_at} was started with other options ({changes}); "
                f"{self._advice(different)}"
            )

    def _check_data(self, saved_at: Path, saved_images: int, num_images: int) -> None:
        saved = saved_classes(saved_at.parent.with_name(WEIGHTS))
        classes = dataset_meta(self.config.dataset, self.config.data_folder).classes
        changes = []
        if saved_images != num_images:
            changes.append(f"{saved_images} training images, now {num_images}")
        if saved is not None and saved.classes != classes:
            changes.append(f"the classes {', '.join(saved.classes)}, now {', '.join(classes)}")
        if changes:
            raise ValueError(
                f"the run of {saved_at} was started with {' and '.join(changes)}; restore the "
                "data, or start another run from its checkpoint.params with another --checkname"
            )

    def _num_devices(self, number: int | None) -> int:
        return backend.device_count(None, self.config.no_cuda) if number is None else number

    def _advice(self, different: Mapping[str, Any]) -> str:
        """Say how to continue with options that the checkpoint does not allow."""
        if different.keys() == {"epochs"}:
            return (
                "its learning rate falls to 0 at the end of its original epochs. To train longer, "
                f"start another run from its weights: --resume {self.path / WEIGHTS} "
                "--checkname NEW"
            )
        return (
            "resume with the same options, or start another run from its checkpoint.params with "
            "another --checkname"
        )
