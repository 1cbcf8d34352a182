"""The command line of ``main.py``: a configuration's fields as options."""

import argparse
import dataclasses
import typing

from gluonvision.segmentation.config import TrainConfig, read_options


def parse_arguments(description: str, arguments: list[str] | None = None) -> TrainConfig:
    """Read the command line into a configuration; a wrong option ends the program with its help.

    ``--config FILE`` gives defaults, which the other options override.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--config", metavar="FILE", help="YAML file of options, as OPTION: VALUE")
    for field in dataclasses.fields(TrainConfig):
        _add_option(parser, field)
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
    name = field.name.replace("_", "-")
    # GluonCV's script writes --start_epoch.
    flags = list(dict.fromkeys([f"--{name}", f"--{field.name}"]))
    common = {"default": field.default, "help": field.metadata["help"]}
    if field.type is bool:
        action = "store_true" if field.name.startswith("no_") else argparse.BooleanOptionalAction
        parser.add_argument(*flags, action=action, **common)
    else:
        kind = next(t for t in (*typing.get_args(field.type), field.type) if t is not type(None))
        parser.add_argument(*flags, type=kind, metavar=name.upper(), **common)
