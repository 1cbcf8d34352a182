"""Open a web page on this machine that segments the pictures dropped on it.

It takes pictures from this machine alone unless --host says otherwise, and keeps none of them.
"""

import argparse
import contextlib
import importlib.util
import math
import webbrowser
from functools import partial
from pathlib import Path

_NEEDED = ("starlette", "uvicorn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="also offer this published model, first; fetched if need be (may be repeated)",
    )
    parser.add_argument(
        "--resume",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="also offer a run of your own, by its weights or its folder, first (may be repeated)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", default=8000, type=int, help="0 for any that is free")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that browsers reach it by, such as a proxy's (may be repeated)",
    )
    _add_limits(parser)
    parser.add_argument(
        "--precision", metavar="NAME", help="what Predictor computes in, such as fp32"
    )
    parser.add_argument("--no-cuda", action="store_true", help="use the CPU")


def _number(text: str) -> float:
    with contextlib.suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise argparse.ArgumentTypeError(f"{text}: expected a number, such as 64")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-upload", default=20.0, type=_number, metavar="MB", help="of a file")
    parser.add_argument(
        "--max-pixels", default=64.0, type=_number, metavar="MEGAPIXELS", help="of a picture"
    )
    parser.add_argument(
        "--side",
        default=1024,
        type=int,
        metavar="PIXELS",
        help="a longer picture is segmented reduced to this longest side; 0: as it is",
    )
    parser.add_argument(
        "--max-waiting", default=16, type=int, metavar="N", help="pictures in work at one time"
    )
    parser.add_argument(
        "--max-models", default=2, type=int, metavar="N", help="models in memory at one time"
    )
    parser.add_argument("--formats", nargs="+", metavar="NAME", help="default: all that are known")


def run(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"serve needs {' and '.join(missing)}, not installed here: "
            "pip install 'gluonvision[web]'"
        )
    # Imported late: what is above can be said without them.
    from gluonvision import web

    web.serve(
        web.Models(_offers(options, web), _loader(options), options.max_models),
        _limits(options, web),
        options.host,
        options.port,
        options.allow_host,
        partial(_ready, options),
    )


def _offers(options, web):
    chosen = [*web.entries_of_runs(options.resume), *map(web.entry_of_model, options.model)]
    names = {entry.name for entry in chosen}
    return [*chosen, *(entry for entry in web.models_on_disk() if entry.name not in names)]


def _loader(options):
    from gluonvision.backend import cpu
    from gluonvision.prediction.predictor import Predictor

    chosen = {"precision": options.precision, "device": cpu() if options.no_cuda else None}
    return partial(Predictor.load, **{name: value for name, value in chosen.items() if value})


def _limits(options, web):
    formats = {"formats": tuple(map(str.upper, options.formats))} if options.formats else {}
    return web.Limits(
        upload=round(options.max_upload * web.MEGA),
        pixels=round(options.max_pixels * web.MEGA),
        side=options.side,
        waiting=options.max_waiting,
        **formats,
    )


def _ready(options, address: str) -> None:
    print(f"the page is at {address} (Ctrl-C ends it)", flush=True)
    if options.open:
        webbrowser.open(address)
