"""``python -m gluonvision COMMAND``; the commands are the modules of ``gluonvision.commands``."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from gluonvision._version import __version__

_PROGRAM = "python -m gluonvision"
# A module is imported when its command is called: no other command pays for it.
_COMMANDS = {
    "train": "train a model",
    "eval": "score a model, or write masks for a test server",
    "demo": "segment a photograph",
    "serve": "open a web page that segments pictures",
    "doctor": "examine a data set before training",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Raises SystemExit(2) for wrong usage, as argparse does."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] not in _COMMANDS:
        # Help, the version, or an error that lists the commands.
        _overview().parse_args(arguments)
    name, *rest = arguments
    return run_command(name, rest, f"{_PROGRAM} {name}")


def run_command(
    name: str, arguments: Sequence[str] | None = None, program: str | None = None
) -> int:
    """Run the command of that name; its exit code, 1 where it ends with a user's mistake.

    ``arguments``: default: those of this process. ``program``: what help calls it.
    """
    try:
        command = importlib.import_module(f"gluonvision.commands.{name}")
        parser = argparse.ArgumentParser(
            prog=program,
            description=command.__doc__,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(parser)
        parse = getattr(command, "parse", argparse.ArgumentParser.parse_args)
        return command.run(parse(parser, arguments)) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not _can_be_mended(error) or os.environ.get("GLUONVISION_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _can_be_mended(error: Exception) -> bool:
    """Whether the error is a user's to mend, by what its message says, and not a fault of ours."""
    is_own = type(error).__module__.partition(".")[0] == "gluonvision"
    return is_own or isinstance(error, ValueError | OSError | FloatingPointError)


def _overview() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10} {summary}" for name, summary in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Semantic segmentation in Gluon's vocabulary.",
        epilog=f"commands:\n{listed}\n\n'{_PROGRAM} COMMAND --help' says what one takes.\n"
        "GLUONVISION_TRACEBACK=1 shows where an error comes from.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=_COMMANDS, metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
