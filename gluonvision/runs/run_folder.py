"""The folder of a run: begun, gone on with, and what is saved into it."""

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
    CONFIG,
    WEIGHTS,
    save_classes,
    save_config,
    save_weights,
    saved_facts,
)
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.environment import describe_environment
from gluonvision.runs.run_log import read_log
from gluonvision.utils import atomic
from gluonvision.utils.locking import locked


class RunFolder:
    """Where a run of ``config`` keeps its files, and the state that it goes on from."""

    def __init__(self, config: TrainConfig):
        self.config, self.path = config, config.folder
        self.states = self.path / "states"

    def start_checkpoint(self) -> Path | None:
        """The state to go on from, None for a run that begins."""
        resume = self.config.resume
        if resume is not None and checkpoint.is_checkpoint(resume):
            return Path(resume)
        found = checkpoint.list_checkpoints(self.states) if resume == "auto" else []
        return found[-1] if found else None

    @contextlib.contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep other processes out of the folder; BlockingIOError where one is at work in it."""
        try:
            with locked(self.path, wait=False):
                yield
        except BlockingIOError:
            raise BlockingIOError(
                f"another process trains in {self.path}; wait for it, or choose another --checkname"
            ) from None

    def first_weights(self) -> str | None:
        """The weights that the run in this folder was begun from, None without one or without."""
        path = self.path / CONFIG
        resume = TrainConfig.from_json(path).resume if path.is_file() else None
        return None if resume == "auto" or checkpoint.is_checkpoint(resume) else resume

    def prepare(self, num_images: int) -> None:
        """Make the folder fit for the run, before anything is trained on ``num_images``.

        Raises FileExistsError where another run would be overwritten, and ValueError for a state
        that is damaged or of another configuration or data set; nothing is changed then.
        """
        config, state = self.config, self.start_checkpoint()
        if state is not None:
            _, header = checkpoint.read_checkpoint(state)
            self._check_config(state, header["config"])
            self._check_data(state, header["batches"]["length"], num_images)
            config = dataclasses.replace(config, resume=self.first_weights() or config.resume)
        goes_on = state is not None and state.parent.resolve() == self.states.resolve()
        if state is not None and goes_on:
            self._go_back(state)
        elif self._is_used():
            self._move_aside()
        self._remove_leftovers()
        save_config(config)
        if not (goes_on and (self.path / CLASSES).is_file()):
            save_classes(config)
        self._note_environment()

    def save_checkpoint(
        self, step: int, arrays: dict[str, np.ndarray], header: dict, best: int
    ) -> None:
        """Write a state, and remove those that are too many."""
        header = header | {"config": self.config.lasting()}
        newest = checkpoint.save_checkpoint(self.states, step, arrays, header)
        checkpoint.remove_old(newest, self.config.keep, best)

    def last_checkpoint(self) -> str:
        """What there is to go on from, as the end of a sentence."""
        found = checkpoint.list_checkpoints(self.states)
        return f"{found[-1]} stands" if found else "no state was saved before"

    def save_weights(self, arrays: dict[str, np.ndarray], name: str = WEIGHTS) -> None:
        """Write weights for evaluation, fine-tuning and the other backend."""
        save_weights(self.path / name, arrays)

    def _note_environment(self) -> None:
        """One entry for every time that the run was begun or gone on with."""
        path = self.path / "environment.json"
        before = json.loads(path.read_text()) if path.is_file() else []
        atomic.write_text(path, json.dumps([*before, describe_environment()], indent=2) + "\n")

    def _go_back(self, state: Path) -> None:
        """Set aside what was saved after a state: later states, and the best weights if later."""
        log = self.path / "log.jsonl"
        records = read_log(log) if log.is_file() else []
        judged = [r for r in records if r["kind"] == "epoch" and r["mean_iou"] is not None]
        best = max(judged, key=lambda record: record["mean_iou"], default=None)
        checkpoint.set_aside_later(state)
        if best is not None and best["step"] > checkpoint.step_of(state):
            for path in self.path.glob(f"{BEST}*"):
                if path.suffix != checkpoint.SUPERSEDED:
                    path.replace(path.with_name(path.name + checkpoint.SUPERSEDED))

    def _remove_leftovers(self) -> None:
        """What a run or an export that was killed while it wrote has left half done."""
        for folder in (self.path, self.states):
            for leftover in folder.glob(atomic.TEMPORARY):
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()

    def _is_used(self) -> bool:
        return (self.path / WEIGHTS).exists() or bool(checkpoint.list_checkpoints(self.states))

    def _move_aside(self) -> None:
        if not self.config.overwrite:
            raise FileExistsError(
                f"{self.path} holds a run already; go on with it by --resume auto (if it has "
                "states), choose another --checkname, or replace it by --overwrite"
            )
        old = self.path.with_name(f"{self.path.name}.replaced")
        resume = self.config.resume
        if resume and self.path.resolve() in Path(resume).resolve().parents:
            raise ValueError(
                f"--overwrite would move {resume}, which --resume names; choose another --checkname"
            )
        shutil.rmtree(old, ignore_errors=True)
        self.path.rename(old)

    def _check_config(self, state: Path, saved: dict[str, Any]) -> None:
        different = {n: v for n, v in self.config.lasting().items() if saved.get(n, v) != v}
        if "ngpus" in different and self._devices(saved["ngpus"]) == self._devices(
            self.config.ngpus
        ):
            del different["ngpus"]  # named once, and once left out
        if different:
            told = "; ".join(f"{n}: {saved[n]!r}, now {v!r}" for n, v in different.items())
            raise ValueError(
                f"the run of {state} was begun with other options ({told}); {self._way(different)}"
            )

    def _check_data(self, state: Path, number: int, num_images: int) -> None:
        facts = saved_facts(state.parent.with_name(WEIGHTS))
        names = dataset_meta(self.config.dataset, self.config.data_folder).classes
        told = [] if number == num_images else [f"{number} training images, now {num_images}"]
        if facts is not None and facts.classes != names:
            told.append(f"the classes {', '.join(facts.classes)}, now {', '.join(names)}")
        if told:
            raise ValueError(
                f"the run of {state} was begun with {' and '.join(told)}; make the data what it "
                "was, or begin another from its checkpoint.params, with another --checkname"
            )

    def _devices(self, number: int | None) -> int:
        return backend.device_count(None, self.config.no_cuda) if number is None else number

    def _way(self, different: Mapping[str, Any]) -> str:
        """How to go on under options that the state does not allow."""
        if different.keys() == {"epochs"}:
            return (
                "its learning rate falls to 0 at the end of the epochs that it was begun with. To "
                f"train further, begin another from its weights: --resume {self.path / WEIGHTS} "
                "--checkname NEW"
            )
        return (
            "go on with its own, or begin another from its checkpoint.params, with another "
            "--checkname"
        )
