"""The command line of ``gluonvision train``: one option for each field of the configuration."""

import argparse
import dataclasses
import typing
from collections.abc import Sequence

from gluonvision.runs.config import TrainConfig, read_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every field as an option, and ``--config FILE``, whose values other options override."""
    parser.usage = "%(prog)s [--OPTION VALUE ...]; --help lists the options"
    parser.add_argument("--config", metavar="FILE", help="YAML file with lines of OPTION: VALUE")
    for field in dataclasses.fields(TrainConfig):
        _add_option(parser, field)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> TrainConfig:
    """Parse the command line; a wrong option ends the program with a usage message."""
    try:
        first, _ = parser.parse_known_args(arguments)
        if first.config is not None:
            parser.set_defaults(**read_options(first.config))
        options = vars(parser.parse_args(arguments))
        del options["config"]
        return TrainConfig(**options)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _add_option(parser, field):
    if field.type is bool:
        is_flag = field.name.startswith("no_")
        kind = {"action": "store_true" if is_flag else argparse.BooleanOptionalAction}
    else:
        named = next(t for t in (*typing.get_args(field.type), field.type) if t is not type(None))
        kind = {"type": named, "metavar": "VALUE"}
    name = field.name.replace("_", "-")
    parser.add_argument(f"--{name}", default=field.default, help=field.metadata["help"], **kind)
    if "_" in field.name:  # GluonCV's script writes --start_epoch
        hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        parser.add_argument(f"--{field.name}", dest=field.name, **hidden, **kind)
