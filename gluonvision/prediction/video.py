"""Videos and webcams: their frames, and a video of overlays."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import draw_legend
from gluonvision.prediction.predictor import Prediction
from gluonvision.utils import class_shares

# What every OpenCV writes, and every player but a browser plays.
_CODEC = "mp4v"
# Written behind a video, by which it is known: a box that MP4 has for what players are to skip.
_SEAL = b"\0\0\0\x13freegluonvision"
_ROWS = 3  # of the legend, below every frame


class Frames:
    """The frames of a video file, or of a webcam by its number, as uint8 (H, W, 3), RGB.

    ``fps``: frames a second, None where that is not known; ``number``: how many there are, None
    for a webcam. Raises OSError where it cannot be opened or has no frame.
    """

    def __init__(self, source: str | os.PathLike | int):
        self.source, is_webcam = source, isinstance(source, int)
        self._capture = _opened(source)
        is_open, self._first = self._capture.read()
        if not is_open:
            raise OSError(self._why(is_webcam))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if not is_webcam and 0 < fps < 1000 else None
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.number = count if not is_webcam and count > 0 else None

    def _why(self, is_webcam: bool) -> str:
        if is_webcam:
            return (
                f"webcam {self.source} gives no picture; is it plugged in, allowed to be used, and "
                "not in use elsewhere? --webcam 1 is the second"
            )
        return f"{self.source}: cannot be read as a video; convert it to MP4, or fetch it again"

    def __iter__(self) -> Iterator[np.ndarray]:
        has_frame, frame = True, self._first
        while has_frame:
            yield np.ascontiguousarray(frame[..., ::-1])
            has_frame, frame = self._capture.read()

    def close(self) -> None:
        """Let go of file or webcam."""
        self._capture.release()


def _opened(source) -> cv2.VideoCapture:
    if not isinstance(source, int):
        if not Path(source).is_file():
            raise FileNotFoundError(f"{source}: no such file; check the name")
        return cv2.VideoCapture(str(source))
    capture = cv2.VideoCapture(source)
    # Of what came while a frame was looked at, the newest alone.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def is_overlay_video(path: Path) -> bool:
    """Whether a file is what ``OverlayVideo`` wrote."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(_SEAL)))
        return file.read() == _SEAL


class OverlayVideo:
    """A video of overlays with a legend below, of constant size; appears when it is closed.

    ``fps``: frames a second; None: as many as came in the time that the first two took. Raises
    OSError where it cannot be written, at its end at the latest.
    """

    def __init__(self, path: Path, fps: float | None):
        self.path, self._fps = path, fps
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._waiting: list[np.ndarray] = []
        self._number = 0  # of frames written
        self._began = time.monotonic()

    def add(self, prediction: Prediction, alpha: float = 0.5) -> None:
        """Append a frame."""
        self._waiting.append(framed(prediction, alpha))
        if self._fps is None and len(self._waiting) < 2:
            return
        self._write()

    def _write(self):
        if self._writer is None and self._waiting:
            fps = self._fps or len(self._waiting) / max(time.monotonic() - self._began, 1e-3)
            height, width = self._waiting[0].shape[:2]
            code = cv2.VideoWriter_fourcc(*_CODEC)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The codec counts time in 1/65535 s at the finest, OpenCV in thousandths of a frame.
            rate = min(max(fps if fps < 65 else round(fps), 1.0), 240.0)
            self._writer = cv2.VideoWriter(str(self._temporary), code, rate, (width, height))
            if not self._writer.isOpened():
                raise OSError(f"{self.path}: cannot be written; is the folder writable?")
        for frame in self._waiting:
            self._writer.write(np.ascontiguousarray(frame[..., ::-1]))
        self._number += len(self._waiting)
        self._waiting.clear()

    def close(self, keep: bool = True) -> None:
        """End the video, and put it in its place, or, where it is not to be kept, remove it."""
        try:
            if keep:
                self._write()
            if self._writer is not None:
                self._writer.release()
            if keep and self._writer is not None:
                self._check()
                with open(self._temporary, "ab") as file:
                    file.write(_SEAL)
                os.replace(self._temporary, self.path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()

    def _check(self):
        # OpenCV does not tell when a disk is full.
        capture = cv2.VideoCapture(str(self._temporary))
        number = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        if number != self._number:
            raise OSError(
                f"{self.path}: {number} of {self._number} frames can be read back, so it is not "
                "kept; is the disk full?"
            )


def framed(prediction: Prediction, alpha: float) -> np.ndarray:
    """An overlay with its legend in a strip of one height, whatever was found; sides are even."""
    picture = prediction.overlay(alpha, legend=False)
    size = max(12, picture.width // 34)
    entries = _entries(prediction.mask, prediction.meta)
    strip = Image.new("RGB", (picture.width, round((1.6 * _ROWS + 0.4) * size)), "white")
    if entries:
        strip.paste(draw_legend(entries, picture.width, size))
    frame = np.concatenate([np.asarray(picture), np.asarray(strip)])
    # Encoders halve the resolution of colours.
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _entries(mask: np.ndarray, meta: Meta):
    return [
        (meta.palette[meta.classes.index(name)], f"{name} {100 * share:.0f} %")
        for name, share in class_shares(mask, meta)
        if share >= 0.005
    ]
