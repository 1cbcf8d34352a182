"""The log of a training run: one line of JSON for each step and epoch, and TensorBoard files.

A resumed run first cuts off the lines that were written after its checkpoint, so the log reads as
if the run had never stopped.
"""

import importlib.util
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gluonvision.metrics import SegmentationScores
from gluonvision.utils import atomic

LOG_NAME = "log.jsonl"
_FIELDS = {
    "step": ("step", "epoch", "loss", "learning_rate", "samples_per_second"),
    "epoch": (
        *("epoch", "step", "train_loss"),
        *("mean_iou", "pixel_accuracy", "mean_accuracy", "class_iou"),
    ),
}


class RunLog:
    """The log of one run: ``folder/log.jsonl``, and TensorBoard event files next to it.

    Only one process may write a log.

    Args:
        folder: folder of the run, created if missing.
        class_names: one name for each class, without duplicates.
        start_step: number of completed steps in the checkpoint that the run continues from; 0
            starts a new log.
        tensorboard: write TensorBoard files too. This needs the package tensorboardX; if it is
            missing, a message says how to install it.

    Raises:
        ValueError: the existing log has a line that is not a record. Nothing is changed then.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        class_names: Sequence[str],
        start_step: int = 0,
        tensorboard: bool = True,
    ):
        self.path = Path(folder) / LOG_NAME
        self._class_names = tuple(class_names)
        if len(set(self._class_names)) < len(self._class_names):
            raise ValueError(f"class names {self._class_names}: expected no duplicates")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _cut(self.path, start_step)
        self._board = _open_board(self.path.parent, start_step) if tensorboard else None
        self._file = open(self.path, "ab")  # noqa: SIM115

    def step(
        self,
        step: int,
        epoch: int,
        loss: float,
        learning_rate: float,
        samples_per_second: float | None = None,
    ) -> None:
        """Record a step. ``step`` and ``epoch`` count from 0; a loss that is not finite is null."""
        values = (int(step), int(epoch), *map(_number, (loss, learning_rate, samples_per_second)))
        self._write("step", values)
        self._scalars(step, {"train/loss": loss, "train/learning_rate": learning_rate})

    def epoch(self, epoch: int, step: int, scores: SegmentationScores, train_loss: float) -> None:
        """Record the validation after an epoch; ``step`` is the number of completed steps.

        Call this before the checkpoint is saved: otherwise a run that is killed in between lacks
        the line. Scores without a value, such as the IoU of an absent class, are null.
        """
        named = dict(zip(self._class_names, map(_number, scores.class_iou), strict=True))
        means = (scores.mean_iou, scores.pixel_accuracy, scores.mean_accuracy)
        self._write("epoch", (int(epoch), int(step), *map(_number, (train_loss, *means)), named))
        # A checkpoint survives a power failure, so the log before it must survive too.
        os.fsync(self._file.fileno())
        shown = {f"val/class_iou/{name}": value for name, value in named.items()}
        shown |= {"val/mean_iou": scores.mean_iou, "val/pixel_accuracy": scores.pixel_accuracy}
        self._scalars(_last(step), shown)

    def predictions(self, step: int, image_file: str | os.PathLike) -> None:
        """Show an image file (of ``draw_predictions``) in TensorBoard; ``step`` as in ``epoch``."""
        if self._board:
            with Image.open(image_file) as opened:
                pixels = np.array(opened.convert("RGB"))
            self._board.add_image("val/predictions", pixels, _last(step), dataformats="HWC")

    def close(self) -> None:
        """Flush and close the log. Closing it twice is safe."""
        self._file.close()
        if self._board:
            self._board.close()
            self._board = None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, kind: str, values: tuple) -> None:
        record = {"kind": kind, **dict(zip(_FIELDS[kind], values, strict=True))}
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        # Flush every line: a killed process loses at most this one.
        self._file.flush()

    def _scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        if self._board:
            for name, value in values.items():
                number = _number(value)
                if number is not None:
                    self._board.add_scalar(name, number, int(step))


def read_log(path: str | os.PathLike) -> list[dict[str, Any]]:
    """Read the records of a log, in order.

    An incomplete last line, left by a killed process or still being written, is skipped.

    Raises:
        ValueError: another line is not a record; the message names the line.
    """
    with open(path, "rb") as file:
        return [record for _, record in _records(file, path)]


def _records(
    file: BufferedReader, path: str | os.PathLike
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        try:
            record = _parse(line)
        except ValueError as error:
            raise ValueError(
                f"{os.fspath(path)}, line {number}: {error}; this is not a record of a run: fix or "
                "delete the line"
            ) from error
        yield line, record


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line.decode().rstrip())
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.colno}") from error
    if not isinstance(record, dict) or record.get("kind") not in _FIELDS:
        raise ValueError(f"expected an object whose kind is {' or '.join(_FIELDS)}")
    missing = [name for name in _FIELDS[record["kind"]] if name not in record]
    if missing:
        raise ValueError(f"a record of kind {record['kind']} lacks {', '.join(missing)}")
    if type(record["step"]) is not int:
        raise ValueError(f"step {record['step']!r}: expected a whole number")
    return record


def _cut(path: Path, start_step: int) -> None:
    """Keep the lines before ``start_step``; the file is replaced atomically."""
    if not path.exists():
        return
    with atomic.replacing(path) as kept, open(path, "rb") as file:
        for line, record in _records(file, path) if start_step else ():
            # Steps count from 0: step S follows a checkpoint of S steps, an epoch's S precedes it.
            if record["step"] < start_step + (record["kind"] == "epoch"):
                kept.write(line)


def _open_board(folder: Path, start_step: int) -> Any:
    if importlib.util.find_spec("tensorboardX") is None:
        print("no TensorBoard files are written: pip install 'gluonvision[tensorboard]'")
        return None
    import tensorboardX

    # A restarted run, such as one killed before its first checkpoint, shows no earlier events.
    for stale in folder.glob("events.out.tfevents.*") if start_step == 0 else ():
        stale.unlink()
    return tensorboardX.SummaryWriter(
        str(folder),
        purge_step=start_step,
        # Events are buffered for this long, and lost when the process is killed.
        flush_secs=5,
        # File names have a resolution of one second; a run resumed sooner would overwrite its own.
        filename_suffix=f".{start_step:09d}",
    )


def _last(step: int) -> int:
    """The last completed step: TensorBoard drops events at the step where a run resumes."""
    return max(step - 1, 0)


def _number(value: Any) -> float | None:
    """Convert to float; None for NaN and infinity, which JSON lacks."""
    return float(value) if value is not None and math.isfinite(value) else None
