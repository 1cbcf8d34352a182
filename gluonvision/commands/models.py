"""List the published models with their data sets, scores and licences, and where their weights are.

With a model's name, show its model card. With --verify, check the weights on this machine.
"""

import argparse
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from gluonvision.deployment.benchmark import count_parameters
from gluonvision.model_zoo import backbones, get_model, list_models
from gluonvision.model_zoo.registry import describe_model
from gluonvision.model_zoo.weights.store import OWN_FILES, file_on_disk, weights_folder
from gluonvision.model_zoo.weights.table import ALIASES, BACKBONES, SEGMENTATION, Weights
from gluonvision.utils.download import verify_checksum

_ROW = "{:<36}{:<12}{:<32}{:<14}{}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="NAME",
        help="name of a model, or a pattern such as 'fcn_*'",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="folder of downloaded weights (default: the one that the list ends with)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="check the checksums of the weights on this machine"
    )


def run(options: argparse.Namespace) -> int:
    """Print the list, the card or the checks; return 1 if weights are damaged."""
    name = ALIASES.get(options.pattern, options.pattern)
    if options.verify:
        return _verify(_matching(options.pattern), options.root)
    if name in list_models():
        print(_card(name, options.root))
        return 0
    print(_ROW.format("name", "score", "measured on", "licence", "weights"))
    for name in _matching(options.pattern):
        print(_ROW.format(*_row(name, options.root)))
    print(f"\nWeights are downloaded to {weights_folder(options.root)} when a model is first used.")
    return 0


def _matching(pattern: str) -> list[str]:
    # List segmentation models before backbones.
    names = sorted(list_models(), key=lambda name: (name in backbones.__all__, name))
    matches = [name for name in names if fnmatch(name, pattern)]
    matches = matches or [name for name in names if fnmatch(name, f"*{pattern}*")]
    if not matches:
        raise ValueError(
            f"no model name contains {pattern!r}; 'gluonvision models' lists all models"
        )
    return matches


def _files(name: str) -> Sequence[Weights]:
    return {**BACKBONES, **SEGMENTATION}.get(name, ())


def _row(name: str, root: Path | None) -> tuple[str, ...]:
    files = _files(name)
    if not files:
        return name, "-", "", "", "none published"
    score = next((file.score for file in files if file.score), None)
    value = f"{score.metric} {score.value:.1f}" if score else "-"
    licence = files[0].licence.split(";")[0]
    return name, value, score.data if score else "-", licence, _location(files, root)


def _location(files: Sequence[Weights], root: Path | None) -> str:
    paths = [path for file in files if (path := file_on_disk(file, root))]
    if not paths:
        return "not downloaded"
    size = f"{paths[0].stat().st_size / 1e6:.1f} MB"
    return f"{size}, in the package" if paths[0].parent == OWN_FILES else f"{size}, downloaded"


def _card(name: str, root: Path | None) -> str:
    own_card = OWN_FILES / f"{name}.md"
    if own_card.is_file():
        return own_card.read_text(encoding="utf-8").strip()
    num_parameters = count_parameters(get_model(name))
    lines = [name, "", describe_model(name), f"{num_parameters / 1e6:.2f} M parameters"]
    for file in _files(name):
        lines += ["", *_describe(file, root)]
    if not _files(name):
        lines += ["", "No weights are published for this model."]
    return "\n".join(lines)


def _describe(file: Weights, root: Path | None) -> Iterator[str]:
    path = file_on_disk(file, root)
    yield file.file
    if score := file.score:
        yield f"  score     {score.metric} {score.value:g} on {score.data} ({score.source})"
    yield f"  licence   {file.licence}"
    yield f"  checksum  {file.checksum or 'none published'}"
    yield f"  path      {path or 'not downloaded'}"
    for url in file.urls():
        yield f"  source    {url}"


def _verify(names: Sequence[str], root: Path | None) -> int:
    """Check every file on this machine; return 1 if any differs from the published one."""
    num_checked = num_damaged = 0
    for name in names:
        for file in _files(name):
            path = file_on_disk(file, root)
            if path is None:
                continue
            num_checked += 1
            problem = _problem(path, file.checksum)
            num_damaged += bool(problem)
            print(f"{path}: {problem or 'ok' if file.checksum else 'no checksum is published'}")
    print(f"{num_checked} weights files checked, {num_damaged} damaged")
    if num_damaged:
        print("Delete the damaged files; they are downloaded again when they are needed.")
    return int(num_damaged > 0)


def _problem(path: Path, checksum: str | None) -> str:
    try:
        if checksum:
            verify_checksum(path, checksum)
    except ValueError as error:
        return str(error)
    return ""
