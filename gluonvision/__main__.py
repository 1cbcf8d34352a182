"""``python -m gluonvision COMMAND``; a command is a module with ``add_arguments`` and ``run``."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from gluonvision._version import __version__

_PROGRAM = "python -m gluonvision"
# A module is imported when its command is called: no other command pays for it.
_COMMANDS = {
    "doctor": ("gluonvision.data.doctor.command", "examine a data set before training"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Raises SystemExit(2) for wrong usage, as argparse does."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] not in _COMMANDS:
        # Help, the version, or an error that lists the commands.
        _overview().parse_args(arguments)
    name, *rest = arguments
    command = importlib.import_module(_COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"{_PROGRAM} {name}", description=command.__doc__)
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(rest))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _overview() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10} {summary}" for name, (_, summary) in _COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Semantic segmentation in Gluon's vocabulary.",
        epilog=f"commands:\n{listed}\n\n'{_PROGRAM} COMMAND --help' says what one takes.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", choices=_COMMANDS, metavar="COMMAND")
    return parser


if __name__ == "__main__":
    sys.exit(main())
