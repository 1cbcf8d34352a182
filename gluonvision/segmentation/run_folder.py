"""The folder of a run: begun, gone on with, and what is saved into it."""

import json
import shutil
from pathlib import Path

import numpy as np

from gluonvision.segmentation import states
from gluonvision.segmentation.checkpoint import WEIGHTS, save_config, save_weights
from gluonvision.segmentation.config import TrainConfig
from gluonvision.segmentation.environment import describe_environment
from gluonvision.utils import atomic


class RunFolder:
    """Where a run of ``config`` keeps its files, and the state that it goes on from."""

    def __init__(self, config: TrainConfig):
        self.config, self.path = config, config.folder
        self.states = self.path / "states"

    def start_state(self) -> Path | None:
        """The state to go on from, None for a run that begins."""
        resume = self.config.resume
        if resume is not None and states.is_state(resume):
            return Path(resume)
        found = states.list_states(self.states) if resume == "auto" else []
        return found[-1] if found else None

    def prepare(self) -> None:
        """Make the folder fit for the run, before anything is trained.

        Raises FileExistsError where another run would be overwritten, and ValueError for a state
        that is damaged or of another configuration; nothing is changed then.
        """
        state = self.start_state()
        if state is not None:
            self._check_config(states.read_state(state)[1])
            if state.parent.resolve() == self.states.resolve():
                states.set_aside_later(state)
        elif self._is_used():
            self._clear()
        for leftover in self.path.rglob(atomic.TEMPORARY):
            leftover.unlink()  # of a run that was killed while it wrote
        save_config(self.config)
        self._note_environment()

    def save_state(self, step: int, arrays: dict[str, np.ndarray], header: dict, best: int) -> None:
        """Write a state, and remove those that are too many."""
        header = header | {"config": self.config.lasting()}
        newest = states.save_state(self.states, step, arrays, header)
        states.remove_old(newest, self.config.keep, best)

    def last_state(self) -> str:
        """What there is to go on from, as the end of a sentence."""
        found = states.list_states(self.states)
        return f"{found[-1]} stands" if found else "no state was saved before"

    def save_weights(self, arrays: dict[str, np.ndarray], name: str = WEIGHTS) -> None:
        """Write weights for evaluation, fine-tuning and the other backend."""
        save_weights(self.path / name, arrays)

    def _note_environment(self) -> None:
        """One entry for every time that the run was begun or gone on with."""
        path = self.path / "environment.json"
        before = json.loads(path.read_text()) if path.is_file() else []
        atomic.write_text(path, json.dumps([*before, describe_environment()], indent=2) + "\n")

    def _is_used(self) -> bool:
        return (self.path / WEIGHTS).exists() or bool(states.list_states(self.states))

    def _clear(self) -> None:
        if not self.config.overwrite:
            raise FileExistsError(
                f"{self.path} holds a run already; go on with it by --resume auto, choose another "
                "--checkname, or replace it by --overwrite"
            )
        shutil.rmtree(self.path)

    def _check_config(self, header: dict) -> None:
        saved = header["config"]
        different = {n: v for n, v in self.config.lasting().items() if saved.get(n, v) != v}
        if different:
            told = "; ".join(f"{n}: {saved[n]!r}, now {v!r}" for n, v in different.items())
            raise ValueError(
                f"the run in {self.path} was begun with other options ({told}); go on with its "
                "own, or begin another with another --checkname"
            )
