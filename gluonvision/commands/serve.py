"""Serve a web page on this machine that segments the images you drop on it.

By default, only this machine can reach the page (see --host). Images are not stored.
"""

import argparse
import contextlib
import importlib.util
import math
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from gluonvision.commands.shared_options import add_no_cuda

_REQUIRED = ("starlette", "uvicorn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="also offer this published model, downloaded if needed; may be repeated",
    )
    add(
        "--resume",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="also offer your own training run (its folder, or a weights file); may be repeated",
    )
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all networks")
    add("--port", default=8000, type=int, help="port to listen on; 0 for any free port")
    add("--open", action="store_true", help="open the page in a browser")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="accept requests for this host name, such as a proxy's; may be repeated",
    )
    _add_limits(parser)
    add(
        "--precision",
        metavar="NAME",
        help="arithmetic of the models: auto, fp32, bf16, fp16 or int8 (default: auto)",
    )
    add_no_cuda(parser)


def _number(text: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text}: expected a number, such as 64")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--max-upload",
        default=20.0,
        type=_number,
        metavar="MB",
        help="largest file to accept, in megabytes",
    )
    add(
        "--max-pixels",
        default=64.0,
        type=_number,
        metavar="MEGAPIXELS",
        help="largest image to accept, in megapixels",
    )
    add(
        "--side",
        default=1024,
        type=int,
        metavar="PIXELS",
        help="reduce larger images to this longer side before they are segmented; 0 to keep their "
        "size",
    )
    add(
        "--max-waiting",
        default=16,
        type=int,
        metavar="N",
        help="number of images that may wait or be segmented at a time",
    )
    add(
        "--max-models",
        default=2,
        type=int,
        metavar="N",
        help="number of models to keep in memory",
    )
    add(
        "--formats",
        nargs="+",
        metavar="NAME",
        help="image formats to accept, such as JPEG PNG (default: all that can be read)",
    )


def run(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    missing = [name for name in _REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"serve needs {' and '.join(missing)}, which are not installed: "
            "pip install 'gluonvision[web]'"
        )
    # Import late: the message above must work without the two packages.
    from gluonvision import web

    web.serve(
        web.Models(_entries(options, web), _loader(options), options.max_models),
        _limits(options, web),
        options.host,
        options.port,
        options.allow_host,
        partial(_announce, options),
    )


def _entries(options: argparse.Namespace, web: ModuleType) -> list:
    """The models to offer: the chosen ones first, then those on this machine."""
    chosen = [*web.entries_of_runs(options.resume), *map(web.entry_of_model, options.model)]
    names = {entry.name for entry in chosen}
    return [*chosen, *(entry for entry in web.models_on_disk() if entry.name not in names)]


def _loader(options: argparse.Namespace) -> Callable:
    from gluonvision.backend import cpu
    from gluonvision.prediction.predictor import Predictor

    settings = {"precision": options.precision, "device": cpu() if options.no_cuda else None}
    return partial(Predictor.load, **{name: value for name, value in settings.items() if value})


def _limits(options: argparse.Namespace, web: ModuleType) -> Any:
    formats = {"formats": tuple(map(str.upper, options.formats))} if options.formats else {}
    return web.Limits(
        upload=round(options.max_upload * web.MEGA),
        pixels=round(options.max_pixels * web.MEGA),
        side=options.side,
        waiting=options.max_waiting,
        **formats,
    )


def _announce(options: argparse.Namespace, address: str) -> None:
    print(f"The page is at {address} (Ctrl-C stops the server).", flush=True)
    if options.open:
        webbrowser.open(address)
