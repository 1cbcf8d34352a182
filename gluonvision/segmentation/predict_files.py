"""Many files: which they are, and their masks and overlays, each written once."""

import dataclasses
import glob
import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, PngImagePlugin

from gluonvision.data.pairs import IMAGES
from gluonvision.segmentation.predictor import Prediction
from gluonvision.utils import atomic

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_KEY = "gluonvision"
_ENDINGS = ("_mask", "_overlay")


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
    a pattern such as ``'*.jpg'``. Results of other files named are no sources. Two files whose
    results would have one name keep their endings.
    """
    found: dict[Path, Path] = {}
    problems = []
    for name in names:
        files = _files(name)
        if not files:
            problems.append(f"{name}: no images or videos there ({', '.join(IMAGES + VIDEOS)})")
        found |= {path: stem for path, stem in files.items() if path not in found}
    results = {s.with_name(s.name + e) for s in _bases(found) for e in _ENDINGS}
    found = {path: stem for path, stem in found.items() if path.with_suffix("") not in results}
    taken = [stem.with_suffix("") for stem in found.values()]
    return [
        Source(path, folder / (stem if taken.count(stem.with_suffix("")) > 1 else bare))
        for (path, stem), bare in zip(found.items(), taken)
    ], problems


def _bases(paths: Iterable[Path]) -> set[Path]:
    return {path.with_suffix("") for path in paths}


def _files(name: str) -> dict[Path, Path]:
    """The files of one name, each with its place below it."""
    path = Path(name)
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if _is_known(p))
        return {p: p.relative_to(path) for p in inside}
    if glob.has_magic(name) and not path.is_file():
        return {Path(p): Path(Path(p).name) for p in sorted(glob.glob(name, recursive=True))}
    return {path: Path(path.name)}  # one that is missing is an error when it is read


def _is_known(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in IMAGES + VIDEOS and not hidden and path.is_file()


def save_results(source: Source, prediction: Prediction, made_by: dict, alpha: float) -> None:
    """Write overlay and mask; each appears whole or not at all, the mask last.

    ``made_by``: what the results depend on beside the image, kept in the mask's file.
    """
    source.stem.parent.mkdir(parents=True, exist_ok=True)
    notes = PngImagePlugin.PngInfo()
    notes.add_text(_KEY, json.dumps(made_by, sort_keys=True))
    save_png(prediction.overlay(alpha), source.result("overlay"))
    save_png(prediction.mask_image(), source.result("mask"), notes)


def save_png(picture: Image.Image, path: Path, notes=None) -> None:
    """Write a picture, whole or not at all."""
    with atomic.replacing(path) as file:
        picture.save(file, "PNG", pnginfo=notes)


def is_done(source: Source, made_by: dict) -> bool:
    """Whether the results are there already.

    Raises FileExistsError where they are, but made otherwise: by another model, or in another way.
    """
    mask, overlay = source.result("mask"), source.result("overlay")
    if not mask.is_file() or not overlay.is_file():
        return False
    found = _notes(mask)
    if found == made_by:
        return True
    told = "otherwise" if found is None else f"with {described(found)}"
    raise FileExistsError(
        f"{mask}: is there already, made {told}; --overwrite makes it anew, --output-folder "
        "chooses another place"
    )


def _notes(path: Path) -> dict | None:
    try:
        with Image.open(path) as picture:
            return json.loads(picture.info[_KEY])
    except (KeyError, OSError, TypeError, ValueError):
        return None


def described(made_by: dict) -> str:
    """What results were made with, in words."""
    return ", ".join(f"{name} {value}" for name, value in made_by.items())


def numbered(count: int, what: str) -> str:
    """'1 image', '2 images'."""
    return f"{count} {what}" + ("" if count == 1 else "s")


def merged(shares: Iterable[list[tuple[str, float]]]) -> list[tuple[str, float]]:
    """The mean share of each class over several images, largest first."""
    images = list(shares)
    totals: dict[str, float] = {}
    for name, share in itertools.chain.from_iterable(images):
        totals[name] = totals.get(name, 0.0) + share / len(images)
    return sorted(totals.items(), key=lambda item: -item[1])
