"""What a training run writes as it goes: a line of JSON for each step and epoch, and TensorBoard's.

A log reads as if the run had never been stopped: what a killed run wrote beyond the checkpoint from
which it is resumed is cut off first.
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
    """The log of one run, ``folder/log.jsonl``, and beside it TensorBoard's event files.

    ``class_names``: one for each class, all different. ``start_step``: the number of steps done by
    the checkpoint that the run starts from; 0 begins the log anew. ``tensorboard``: whether to
    write for TensorBoard as well, which takes the package tensorboardX; where that is not
    installed, one line says how to get it.

    One process writes a log; of many, let the first do it. Raises ValueError, and changes nothing,
    where a log to go on with holds what is none.
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
            raise ValueError(f"class names {self._class_names}: some are there twice")
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
        """Note a step; ``step`` and ``epoch`` count from 0. A loss that is not finite is null."""
        values = (int(step), int(epoch), *map(_number, (loss, learning_rate, samples_per_second)))
        self._write("step", values)
        self._scalars(step, {"train/loss": loss, "train/learning_rate": learning_rate})

    def epoch(self, epoch: int, step: int, scores: SegmentationScores, train_loss: float) -> None:
        """Note the validation after an epoch; ``step``: the number of steps done until then.

        Call it before the checkpoint is saved, or a run killed in between lacks this line. What
        there is nothing to judge by, as the IoU of an absent class, is null.
        """
        named = dict(zip(self._class_names, map(_number, scores.class_iou), strict=True))
        means = (scores.mean_iou, scores.pixel_accuracy, scores.mean_accuracy)
        self._write("epoch", (int(epoch), int(step), *map(_number, (train_loss, *means)), named))
        # A checkpoint outlasts a power cut; so must what the log says of the steps before it.
        os.fsync(self._file.fileno())
        shown = {f"val/class_iou/{name}": value for name, value in named.items()}
        shown |= {"val/mean_iou": scores.mean_iou, "val/pixel_accuracy": scores.pixel_accuracy}
        self._scalars(_last(step), shown)

    def predictions(self, step: int, picture: str | os.PathLike) -> None:
        """Show a picture file on TensorBoard (``draw_predictions``); ``step`` as in ``epoch``."""
        if self._board:
            with Image.open(picture) as opened:
                pixels = np.array(opened.convert("RGB"))
            self._board.add_image("val/predictions", pixels, _last(step), dataformats="HWC")

    def close(self) -> None:
        """Write out what is left; a closed log takes no more. Closing it twice does no harm."""
        self._file.close()
        if self._board:
            self._board.close()
            self._board = None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _write(self, kind: str, values: tuple) -> None:
        record = {"kind": kind, **dict(zip(_FIELDS[kind], values, strict=True))}
        self._file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        # At once and as one write: a killed process loses this line at most.
        self._file.flush()

    def _scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        if self._board:
            for name, value in values.items():
                number = _number(value)
                if number is not None:
                    self._board.add_scalar(name, number, int(step))


def read_log(path: str | os.PathLike) -> list[dict[str, Any]]:
    """The records of a log, in order, as dicts of what ``RunLog`` wrote.

    The last line may be torn, by a process that was killed or that is writing just now; it is left
    out. Raises ValueError, naming the line, where any other is no record.
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
                f"{os.fspath(path)}, line {number}: {error}; a run writes no such line: mend or "
                "delete it"
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
    """Leave in the file what came before ``start_step``, in whole lines; it changes at once."""
    if not path.exists():
        return
    with atomic.replacing(path) as kept, open(path, "rb") as file:
        for line, record in _records(file, path) if start_step else ():
            # Steps count from 0, so S comes after a checkpoint of S steps; an epoch's S before it.
            if record["step"] < start_step + (record["kind"] == "epoch"):
                kept.write(line)


def _open_board(folder: Path, start_step: int):
    if importlib.util.find_spec("tensorboardX") is None:
        print("nothing is written for TensorBoard: pip install 'gluonvision[tensorboard]'")
        return None
    import tensorboardX

    # A run that begins anew, as after a kill before its first state, shows nothing of before.
    for stale in folder.glob("events.out.tfevents.*") if start_step == 0 else ():
        stale.unlink()
    return tensorboardX.SummaryWriter(
        str(folder),
        purge_step=start_step,
        # It keeps what it is given for this long, and a kill takes it along.
        flush_secs=5,
        # Files are named by the second: a run resumed within one would overwrite its own.
        filename_suffix=f".{start_step:09d}",
    )


def _last(step: int) -> int:
    """The last of so many steps: TensorBoard drops what stands at the step of a resumption."""
    return max(step - 1, 0)


def _number(value: Any) -> float | None:
    """JSON has neither NaN nor infinity."""
    return float(value) if value is not None and math.isfinite(value) else None
