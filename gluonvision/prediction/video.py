"""Read the frames of videos and webcams, and write videos of overlays."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import Colour, draw_legend
from gluonvision.prediction.predictor import Prediction
from gluonvision.utils import class_shares

# Every build of OpenCV writes this codec, and every player except browsers plays it.
_CODEC = "mp4v"
# An MP4 box of type "free", which players skip. It marks the files that OverlayVideo wrote.
_SEAL = b"\0\0\0\x13freegluonvision"
_LEGEND_ROWS = 3


class Frames:
    """The frames of a video file or a webcam, as uint8 arrays (H, W, 3), RGB.

    Args:
        source: path of a video, or number of a webcam (0 is the first).

    Attributes:
        fps: frames per second; None if unknown.
        num_frames: number of frames; None if unknown, as for webcams.

    Raises:
        OSError: if the source cannot be opened or has no frames.
    """

    def __init__(self, source: str | os.PathLike | int):
        is_webcam = isinstance(source, int)
        self._capture = _open_capture(source)
        has_frame, self._first = self._capture.read()
        if not has_frame:
            raise OSError(_no_frames(source))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if not is_webcam and 0 < fps < 1000 else None
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.num_frames = count if not is_webcam and count > 0 else None

    def __iter__(self) -> Iterator[np.ndarray]:
        has_frame, frame = True, self._first
        while has_frame:
            yield np.ascontiguousarray(frame[..., ::-1])
            has_frame, frame = self._capture.read()

    def close(self) -> None:
        """Release the file or the webcam."""
        self._capture.release()


def _open_capture(source: str | os.PathLike | int) -> cv2.VideoCapture:
    if not isinstance(source, int):
        if not Path(source).is_file():
            raise FileNotFoundError(f"{source}: no such file; check the name")
        return cv2.VideoCapture(str(source))
    capture = cv2.VideoCapture(source)
    # Skip the frames that arrive while the net is busy, to stay close to real time.
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _no_frames(source: str | os.PathLike | int) -> str:
    if isinstance(source, int):
        return (
            f"webcam {source} gives no image; check that it is connected, that this program may "
            "use it, and that no other program does; --webcam 0 is the first camera, 1 the second"
        )
    return f"{source}: cannot be read as a video; convert it to MP4 or download it again"


def is_overlay_video(path: Path) -> bool:
    """Whether ``OverlayVideo`` wrote a file."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(_SEAL)))
        return file.read() == _SEAL


class OverlayVideo:
    """Writes a video of overlays, with a legend below each frame.

    The file only appears when the video is closed.

    Args:
        path: the MP4 file to write.
        fps: frames per second; None to measure it on the first two frames.

    Raises:
        OSError: if the file cannot be written; at the latest when it is closed.
    """

    def __init__(self, path: Path, fps: float | None):
        self.path, self._fps = path, fps
        self._temporary = path.with_name(f".{path.stem}.tmp{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._pending: list[np.ndarray] = []
        self._num_written = 0
        self._start = time.monotonic()

    def add(self, prediction: Prediction, alpha: float = 0.5) -> None:
        """Append the overlay of a prediction; ``alpha`` is its opacity, 0 to 1."""
        self._pending.append(legend_frame(prediction, alpha))
        if self._fps is None and len(self._pending) < 2:
            return
        self._write()

    def _write(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            self._writer = self._open_writer()
        for frame in self._pending:
            self._writer.write(np.ascontiguousarray(frame[..., ::-1]))
        self._num_written += len(self._pending)
        self._pending.clear()

    def _open_writer(self) -> cv2.VideoWriter:
        fps = self._fps or len(self._pending) / max(time.monotonic() - self._start, 1e-3)
        # The codec's finest time unit is 1/65535 s, and OpenCV counts thousandths of a frame.
        fps = min(max(fps if fps < 65 else round(fps), 1.0), 240.0)
        height, width = self._pending[0].shape[:2]
        codec = cv2.VideoWriter.fourcc(*_CODEC)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(self._temporary), codec, fps, (width, height))
        if not writer.isOpened():
            raise OSError(f"{self.path}: cannot be written; check that the folder is writable")
        return writer

    def close(self, keep: bool = True) -> None:
        """Finish the video and move it to its path; discard it unless ``keep``."""
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

    def _check(self) -> None:
        # OpenCV does not report a full disk.
        capture = cv2.VideoCapture(str(self._temporary))
        num_readable = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        if num_readable != self._num_written:
            raise OSError(
                f"{self.path}: only {num_readable} of {self._num_written} frames can be read back, "
                "so the video was removed; check that the disk is not full"
            )


def legend_frame(prediction: Prediction, alpha: float) -> np.ndarray:
    """Draw an overlay above a legend of constant height, with even sides: uint8 (H, W, 3)."""
    overlay = prediction.overlay(alpha, legend=False)
    size = max(12, overlay.width // 34)
    entries = _legend_entries(prediction.mask, prediction.meta)
    height = round((1.6 * _LEGEND_ROWS + 0.4) * size)
    legend = Image.new("RGB", (overlay.width, height), "white")
    if entries:
        legend.paste(draw_legend(entries, overlay.width, size))
    frame = np.concatenate([np.asarray(overlay), np.asarray(legend)])
    # Encoders halve the resolution of the colours.
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def _legend_entries(mask: np.ndarray, meta: Meta) -> list[tuple[Colour, str]]:
    return [
        (meta.palette[meta.classes.index(name)], f"{name} {100 * share:.0f} %")
        for name, share in class_shares(mask, meta)
        if share >= 0.005
    ]
