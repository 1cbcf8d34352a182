"""The command line, ``gluonvision COMMAND``; the commands are in ``gluonvision.commands``."""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gluonvision._version import __version__
from gluonvision.utils.errors import is_user_error

# Only the module of the chosen command is imported, to keep the others' imports out of start-up.
_COMMANDS = {
    "prepare": "download, check and unpack a data set",
    "doctor": "check a data set for problems before training",
    "train": "train a model",
    "eval": "score a model, or write masks for a test server",
    "models": "list the published models and their weights",
    "demo": "segment images, folders, videos or a webcam",
    "serve": "segment images on a web page",
    "export": "export a model to ONNX and other formats",
    "bench": "measure a model's size, speed and memory",
}
# Outside a terminal, draw progress bars once per minute. These variables of tqdm are in seconds.
_TQDM_INTERVALS = ("TQDM_DELAY", "TQDM_MININTERVAL", "TQDM_MAXINTERVAL")
_EXAMPLES = (
    "prepare camvid",
    "doctor --dataset camvid",
    "train --dataset camvid --model deeplabv3plus --backbone mobilenet_v2",
    "demo street.jpg --model deeplabv3plus_mobilenet_v2_camvid",
    "export --model deeplabv3plus_mobilenet_v2_camvid --to onnx",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: the command and its options. By default, those of this process.

    Raises:
        SystemExit: with code 2 for wrong usage, as argparse does.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        _overview().print_help()
        return 0
    if arguments[0] not in _COMMANDS:
        _refuse(arguments)
    name, *rest = arguments
    return run_command(name, rest, f"{_program()} {name}")


def run_command(
    name: str, arguments: Sequence[str] | None = None, program: str | None = None
) -> int:
    """Run the command ``name`` and return its exit code: 1 after a mistake of the user.

    Args:
        name: a module of ``gluonvision.commands``.
        arguments: the options. By default, those of this process.
        program: name of the program in the help text.
    """
    if not sys.stderr.isatty() and "tqdm" not in sys.modules:  # tqdm reads them on import
        for variable in _TQDM_INTERVALS:
            os.environ.setdefault(variable, "60")
    try:
        command = importlib.import_module(f"gluonvision.commands.{name}")
        parser = _Parser(
            prog=program,
            description=command.__doc__,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(parser)
        parse = getattr(command, "parse", argparse.ArgumentParser.parse_args)
        return command.run(parse(parser, arguments)) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of the output, such as head, has closed it. Redirect it, because Python
        # flushes it once more on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if not is_user_error(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    """Suggests the closest option for an unknown one."""

    def error(self, message: str) -> NoReturn:
        words = message.partition("unrecognized arguments: ")[2].replace("=", " ").split()
        near = words and difflib.get_close_matches(words[0], self._option_string_actions, 1)
        super().error(f"{message} (did you mean {near[0]}?)" if near else message)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows each option's default, and keeps the paragraphs of the description."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_empty = action.default in (None, False) or isinstance(action.default, list)
        return action.help if is_empty else super()._get_help_string(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.strip().split("\n\n"))


def _program() -> str:
    """The program as the user called it: the installed script, or the module."""
    is_script = Path(sys.argv[0]).stem == "gluonvision"
    return "gluonvision" if is_script else "python -m gluonvision"


def _overview() -> argparse.ArgumentParser:
    program = _program()
    listed = "\n".join(f"  {name:10} {summary}" for name, summary in _COMMANDS.items())
    examples = "\n".join(f"  {program} {line}" for line in _EXAMPLES)
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} COMMAND ...",
        description="Train, evaluate and run semantic segmentation models, on PyTorch or Apache "
        "MXNet.",
        epilog=f"commands:\n{listed}\n\nexamples:\n{examples}\n\n"
        f"Run '{program} COMMAND --help' to list a command's options.\n\n"
        "environment variables:\n"
        "  GLUONVISION_BACKEND    framework to use: torch (default) or mxnet\n"
        "  GLUONVISION_DATA       folder of data sets (default: ~/.mxnet/datasets)\n"
        "  GLUONVISION_HOME       folder whose models/ holds weights (default: ~/.mxnet)\n"
        "  GLUONVISION_TRACEBACK  set it to 1 to show where an error comes from",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gluonvision {__version__}")
    return parser


def _refuse(arguments: Sequence[str]) -> NoReturn:
    """Print the help, the version, or an error with the closest command; then exit."""
    parser = _overview()
    _, unknown = parser.parse_known_args(arguments)
    close = difflib.get_close_matches(unknown[0], _COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(_COMMANDS)}"
    parser.error(f"unknown command {unknown[0]!r}; {hint}")


if __name__ == "__main__":
    sys.exit(main())
