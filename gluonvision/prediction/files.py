"""Find the files to segment, and write their masks and overlays."""

import dataclasses
import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

from gluonvision.data.datasets.pairs import IMAGES
from gluonvision.prediction.large_read import no_pixel_limit
from gluonvision.prediction.large_write import NOTE_KEYWORD
from gluonvision.prediction.predictor import Prediction
from gluonvision.prediction.video import is_overlay_video
from gluonvision.utils import atomic

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
NOTE_PREFIX = "model "
_IMAGE_DESCRIPTION = 270  # the TIFF tag in which write_mask stores its note


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to segment.

    Args:
        path: the image or video.
        stem: the results are ``stem`` followed by ``_mask.png``, ``_overlay.png`` and so on.
    """

    path: Path
    stem: Path

    @property
    def is_video(self) -> bool:
        """Whether the file name ends like that of a video."""
        return self.path.suffix.lower() in VIDEOS

    def result(self, kind: str, suffix: str = ".png") -> Path:
        """Name the file of a result, such as "mask" or "overlay"."""
        return self.stem.with_name(f"{self.stem.name}_{kind}{suffix}")


def find_sources(names: Sequence[str], folder: Path) -> tuple[list[Source], list[str]]:
    """Find the files to segment, and name their results.

    Results are named after their files. Files in a folder keep their sub-folders. Files that
    differ only in their suffix keep it. If names still clash, all results keep the folders of
    their files. Results of earlier calls are skipped.

    Args:
        names: files, folders (searched recursively), or patterns such as ``'*.jpg'``.
        folder: the folder for the results.

    Returns:
        The files, and a message for each name without any file.
    """
    stems: dict[str, Path] = {}
    paths: list[Path] = []
    problems = []
    for name in names:
        files = _files(name)
        if not files:
            problems.append(_no_files(name))
        for path, stem in files.items():
            if (absolute := os.path.abspath(path)) not in stems:
                stems[absolute] = stem
                paths.append(path)
    unique = _unique_stems(stems)
    return [Source(path, folder / stem) for path, stem in zip(paths, unique)], problems


def _unique_stems(stems: dict[str, Path]) -> list[Path]:
    """Shorten the name of each file's results as far as they stay different."""
    if len(set(short := _without_suffixes(list(stems.values())))) == len(stems):
        return short
    shared = os.path.commonpath([os.path.dirname(path) for path in stems])
    relative = [Path(os.path.relpath(path, shared)) for path in stems]
    short = _without_suffixes(relative)
    return short if len(set(short)) == len(stems) else relative


def _without_suffixes(stems: list[Path]) -> list[Path]:
    """Drop each suffix, except where two names would become the same."""
    bare = [stem.with_suffix("") for stem in stems]
    counts = Counter(bare)
    return [stem if counts[short] > 1 else short for stem, short in zip(stems, bare)]


def _no_files(name: str) -> str:
    if glob.has_magic(name) or Path(name).is_dir():
        return f"{name}: no images or videos found (expected {', '.join(IMAGES + VIDEOS)})"
    return f"{name}: no such file; check the name"


def _files(name: str) -> dict[Path, Path]:
    """The files that a name stands for, each with its path relative to that name."""
    path = Path(name)
    if path.is_dir():
        known = sorted(p for p in path.rglob("*") if _is_known(p))
        return {p: p.relative_to(path) for p in known if not _is_result(p)}
    if path.is_file():
        return {path: Path(path.name)}
    matching = (Path(p) for p in sorted(glob.glob(name, recursive=True)))
    return {p: Path(p.name) for p in matching if p.is_file() and not _is_result(p)}


def _is_known(path: Path) -> bool:
    is_hidden = path.name.startswith(".")
    return path.suffix.lower() in IMAGES + VIDEOS and not is_hidden and path.is_file()


def _is_result(path: Path) -> bool:
    try:
        return _read_note(path) is not None or is_overlay_video(path)
    except OSError:  # reported when the file is segmented
        return False


def save_results(source: Source, prediction: Prediction, note: str, alpha: float) -> None:
    """Write the overlay and the mask of an image, each with a note of its settings."""
    source.stem.parent.mkdir(parents=True, exist_ok=True)
    save_png(prediction.overlay(alpha), source.result("overlay"), note)
    save_png(prediction.mask_image(), source.result("mask"), note)


def save_png(image: Image.Image, path: Path, note: str) -> None:
    """Write an image with a note; the file only appears once it is complete."""
    info = PngImagePlugin.PngInfo()
    info.add_text(NOTE_KEYWORD, note)
    with atomic.replacing(path) as file:
        image.save(file, "PNG", pnginfo=info)


def has_results(source: Source, note: str) -> bool:
    """Whether the results of a file exist.

    Raises:
        FileExistsError: if they exist, but with another note, so from other settings.
    """
    if source.is_video:
        return source.result("overlay", ".mp4").is_file()
    masks = [source.result("mask", suffix) for suffix in (".png", ".tif")]
    mask = next((path for path in masks if path.is_file()), None)
    if mask is None or not source.result("overlay").is_file():
        return False
    existing = _read_note(mask)
    if existing == note:
        return True
    origin = "another program" if existing is None else f"other settings: {existing}; now {note}"
    raise FileExistsError(
        f"{mask} already exists, made by {origin}. Use --overwrite to replace it, or "
        "--output-folder to write elsewhere"
    )


def _read_note(path: Path) -> str | None:
    """The note that ``save_png`` or ``write_mask`` stored; None in other files."""
    if path.suffix.lower() not in (".png", ".tif"):
        return None
    try:
        with no_pixel_limit(), Image.open(path) as image:
            if image.format == "PNG":
                return image.info.get(NOTE_KEYWORD)
            text = image.getexif().get(_IMAGE_DESCRIPTION, "")
            return text if text.startswith(NOTE_PREFIX) else None
    except Exception:  # damaged files make Pillow raise errors of many types
        return None


def mean_shares(shares: Iterable[list[tuple[str, float]]]) -> list[tuple[str, float]]:
    """Average the fraction of each class over several images, largest first."""
    images = list(shares)
    totals: dict[str, float] = {}
    for name, share in itertools.chain.from_iterable(images):
        totals[name] = totals.get(name, 0.0) + share / len(images)
    return sorted(totals.items(), key=lambda item: -item[1])
