"""Many files: which they are, and their masks and overlays, each written once."""

import dataclasses
import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

from gluonvision.data.datasets.pairs import IMAGES
from gluonvision.prediction.large_read import any_size
from gluonvision.prediction.large_write import NOTE
from gluonvision.prediction.predictor import Prediction
from gluonvision.prediction.video import is_overlay_video
from gluonvision.utils import atomic

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
NOTE_BEGINS = "model "
_DESCRIPTION = 270  # the tag of a TIFF that write_mask notes it in


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to segment, and where its results go: ``stem`` and ``_mask.png``, ``_overlay.png``."""

    path: Path
    stem: Path

    @property
    def is_video(self) -> bool:
        """Whether its name is that of a video."""
        return self.path.suffix.lower() in VIDEOS

    def result(self, kind: str, ending: str = ".png") -> Path:
        """The file of a result."""
        return self.stem.with_name(f"{self.stem.name}_{kind}{ending}")


def find_sources(names: Sequence[str], folder: Path) -> tuple[list[Source], list[str]]:
    """The files that are meant, with their results in ``folder``, and what is wrong with names.

    A name is a file's, a folder's (images and videos in it and below, whose folders are kept), or
    a pattern such as ``'*.jpg'``. What was itself written as a result is none. Two files whose
    results would have one name keep their endings, and all keep their folders where these are what
    tells two apart.
    """
    found: dict[str, Source] = {}
    problems = []
    for name in names:
        files = _files(name)
        if not files:
            problems.append(_nothing(name))
        for path, below in files.items():
            found.setdefault(os.path.abspath(path), Source(path, below))
    stems = _stems(found)
    return [
        Source(source.path, folder / stem) for source, stem in zip(found.values(), stems)
    ], problems


def _stems(found: dict[str, Source]) -> list[Path]:
    """A name of its own for the results of each file, as short as can be."""
    below = [source.stem for source in found.values()]
    if len(set(short := _without_endings(below))) == len(found):
        return short
    shared = os.path.commonpath([os.path.dirname(path) for path in found])
    whole = [Path(os.path.relpath(path, shared)) for path in found]
    short = _without_endings(whole)
    return short if len(set(short)) == len(found) else whole


def _without_endings(stems: list[Path]) -> list[Path]:
    """Without their endings, but for those that would be of one name then."""
    bare = [stem.with_suffix("") for stem in stems]
    number = Counter(bare)
    return [stem if number[short] > 1 else short for stem, short in zip(stems, bare)]


def _nothing(name: str) -> str:
    if glob.has_magic(name) or Path(name).is_dir():
        return f"{name}: no images or videos there ({', '.join(IMAGES + VIDEOS)})"
    return f"{name}: no such file; check the name"


def _files(name: str) -> dict[Path, Path]:
    """The files of one name, each with its place below it."""
    path = Path(name)
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if _is_known(p))
        return {p: p.relative_to(path) for p in inside if not _is_result(p)}
    if path.is_file():
        return {path: Path(path.name)}
    matching = (Path(p) for p in sorted(glob.glob(name, recursive=True)))
    return {p: Path(p.name) for p in matching if p.is_file() and not _is_result(p)}


def _is_known(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in IMAGES + VIDEOS and not hidden and path.is_file()


def _is_result(path: Path) -> bool:
    try:
        return _note(path) is not None or is_overlay_video(path)
    except OSError:  # told when it is to be segmented
        return False


def save_results(source: Source, prediction: Prediction, note: str, alpha: float) -> None:
    """Write overlay and mask, with a note in each; each appears whole or not at all."""
    source.stem.parent.mkdir(parents=True, exist_ok=True)
    save_png(prediction.overlay(alpha), source.result("overlay"), note)
    save_png(prediction.mask_image(), source.result("mask"), note)


def save_png(picture: Image.Image, path: Path, note: str) -> None:
    """Write a picture with a note in it, whole or not at all."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text(NOTE, note)
    with atomic.replacing(path) as file:
        picture.save(file, "PNG", pnginfo=notes)


def check_done(source: Source, note: str) -> bool:
    """Whether the results are there already.

    Raises FileExistsError where they are, but with another note: made in another way.
    """
    if source.is_video:
        return source.result("overlay", ".mp4").is_file()
    masks = [source.result("mask", ending) for ending in (".png", ".tif")]
    mask = next((path for path in masks if path.is_file()), None)
    if mask is None or not source.result("overlay").is_file():
        return False
    found = _note(mask)
    if found == note:
        return True
    told = "by something else" if found is None else f"with {found}; now it is {note}"
    raise FileExistsError(
        f"{mask}: is there already, made {told}. --overwrite makes it anew, --output-folder "
        "chooses another place"
    )


def _note(path: Path) -> str | None:
    """What ``save_png`` or ``write_mask`` noted in a file; None in what is no result."""
    if path.suffix.lower() not in (".png", ".tif"):
        return None
    try:
        with any_size(), Image.open(path) as picture:
            if picture.format == "PNG":
                return picture.info.get(NOTE)
            text = picture.getexif().get(_DESCRIPTION, "")
            return text if text.startswith(NOTE_BEGINS) else None
    except Exception:  # whatever Pillow's decoders stumble over
        return None


def merged(shares: Iterable[list[tuple[str, float]]]) -> list[tuple[str, float]]:
    """The mean share of each class over several images, largest first."""
    images = list(shares)
    totals: dict[str, float] = {}
    for name, share in itertools.chain.from_iterable(images):
        totals[name] = totals.get(name, 0.0) + share / len(images)
    return sorted(totals.items(), key=lambda item: -item[1])
