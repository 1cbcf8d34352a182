"""Where a run starts: at a checkpoint, from given weights, or from scratch."""

import dataclasses
from pathlib import Path

from gluonvision.runs.artifacts import CONFIG
from gluonvision.runs.checkpoint import CHECKPOINTS, is_checkpoint, list_checkpoints
from gluonvision.runs.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Start:
    """The resolved ``--resume`` option.

    Attributes:
        checkpoint: continue training after this checkpoint.
        weights: the file of weights that the run was first started from. A checkpoint's weights
            replace them, but config.json keeps this path: 'auto' needs it if the checkpoints are
            gone.
    """

    checkpoint: Path | None = None
    weights: Path | None = None

    @property
    def from_scratch(self) -> bool:
        """Whether there is neither a checkpoint nor a weights file."""
        return self.checkpoint is None and self.weights is None

    @property
    def initial_weights(self) -> Path | None:
        """The weights to load before the first step; None if a checkpoint has them."""
        return self.weights if self.checkpoint is None else None

    def __str__(self) -> str:
        found = self.checkpoint or self.weights
        return "from scratch" if found is None else f"from {found}"


def resolve_start(config: TrainConfig) -> Start:
    """Resolve ``config.resume``.

    - A checkpoint of any run: continue after it. The checkpoint may be this run's own, so the
      weights that this run was first started from are read from its config.json.
    - 'auto': continue after the newest checkpoint of this run. Without one, restart from the
      weights that the run was first started from.
    - Any other path: start from these weights.
    """
    if config.resume is None:
        return Start()
    if is_checkpoint(config.resume):
        return Start(Path(config.resume), _recorded_weights(config.folder))
    if config.resume != "auto":
        return Start(weights=Path(config.resume))
    saved = list_checkpoints(config.folder / CHECKPOINTS)
    return Start(saved[-1] if saved else None, _recorded_weights(config.folder))


def _recorded_weights(folder: Path) -> Path | None:
    """The weights that the run in ``folder`` started from, if it recorded any."""
    path = folder / CONFIG
    resume = TrainConfig.from_json(path).resume if path.is_file() else None
    return None if resume in (None, "auto") or is_checkpoint(resume) else Path(resume)
