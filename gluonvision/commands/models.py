"""List the published models: data set, score, licence, and whether their weights are here.

With a model's name: its card. With --verify: whether the weights that are here are whole.
"""

import argparse
from fnmatch import fnmatch
from pathlib import Path

from gluonvision.deployment.benchmark import count_parameters
from gluonvision.model_zoo import backbones, get_model, list_models
from gluonvision.model_zoo.registry import describe_model
from gluonvision.model_zoo.weights.store import OWN_FILES, file_on_disk, weights_folder
from gluonvision.model_zoo.weights.table import ALIASES, BACKBONES, SEGMENTATION
from gluonvision.utils.download import verify_checksum

_ROW = "{:<36}{:<12}{:<32}{:<14}{}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "pattern",
        nargs="?",
        default="*",
        metavar="NAME",
        help="a name, or a pattern such as 'fcn_*'",
    )
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where weights are looked for")
    parser.add_argument(
        "--verify", action="store_true", help="check the hashes of the weights that are here"
    )


def run(options: argparse.Namespace) -> int:
    """Print the list, the card or the checks; 1 where weights are damaged."""
    name = ALIASES.get(options.pattern, options.pattern)
    if options.verify:
        return _verify(_matching(options.pattern), options.root)
    if name in list_models():
        print(_card(name, options.root))
        return 0
    print(_ROW.format("name", "score", "measured on", "licence", "weights"))
    for name in _matching(options.pattern):
        print(_ROW.format(*_row(name, options.root)))
    print(
        f"\nweights are looked for in {weights_folder(options.root)}, and fetched when first used"
    )
    return 0


def _matching(pattern: str) -> list[str]:
    # Segmentation first, then the backbones.
    names = sorted(list_models(), key=lambda name: (name in backbones.__all__, name))
    found = [name for name in names if fnmatch(name, pattern)]
    found = found or [name for name in names if fnmatch(name, f"*{pattern}*")]
    if not found:
        raise ValueError(f"no model's name is or has {pattern!r}; without a name all are listed")
    return found


def _files(name):
    return {**BACKBONES, **SEGMENTATION}.get(name, ())


def _row(name, root):
    files = _files(name)
    if not files:
        return name, "-", "", "", "none published"
    score = next((file.score for file in files if file.score), None)
    told = f"{score.metric} {score.value:.1f}" if score else "-"
    licence = files[0].licence.split(";")[0]
    return name, told, score.data if score else "-", licence, _whereabouts(files, root)


def _whereabouts(files, root) -> str:
    found = [path for file in files if (path := file_on_disk(file, root))]
    if not found:
        return "to be fetched"
    size = f"{found[0].stat().st_size / 1e6:.1f} MB"
    return f"{size}, in the package" if found[0].parent == OWN_FILES else f"{size}, here"


def _card(name, root) -> str:
    own = OWN_FILES / f"{name}.md"
    if own.is_file():
        return own.read_text(encoding="utf-8").strip()
    number = count_parameters(get_model(name))
    lines = [name, "", describe_model(name), f"{number / 1e6:.2f} M parameters"]
    for file in _files(name):
        lines += ["", *_describe(file, root)]
    if not _files(name):
        lines += ["", "No weights of it are published."]
    return "\n".join(lines)


def _describe(file, root):
    path = file_on_disk(file, root)
    yield file.file
    if score := file.score:
        yield f"  score     {score.metric} {score.value:g} on {score.data} ({score.source})"
    yield f"  licence   {file.licence}"
    yield f"  checksum  {file.checksum or 'none is published'}"
    yield f"  here      {path or 'no'}"
    for url in file.urls():
        yield f"  from      {url}"


def _verify(names, root) -> int:
    """Check every file that is here; 1 where one is not what was published."""
    damaged = checked = 0
    for name in names:
        for file in _files(name):
            path = file_on_disk(file, root)
            if path is None:
                continue
            checked += 1
            problem = _problem(path, file.checksum)
            damaged += bool(problem)
            print(f"{path}: {problem or 'whole' if file.checksum else 'no checksum is published'}")
    print(f"{checked} files of weights here, {damaged} damaged")
    if damaged:
        print("remove those that are damaged: they are passed over, and fetched again")
    return int(damaged > 0)


def _problem(path, checksum) -> str:
    try:
        if checksum:
            verify_checksum(path, checksum)
    except ValueError as error:
        return str(error)
    return ""
