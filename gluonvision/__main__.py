"""``gluonvision COMMAND``; the commands are the modules of ``gluonvision.commands``."""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gluonvision._version import __version__
from gluonvision.utils.errors import is_user_error

# A module is imported when its command is called: no other command pays for it.
_COMMANDS = {
    "prepare": "fetch, check and unpack a data set",
    "doctor": "examine a data set before training",
    "train": "train a model",
    "eval": "score a model, or write masks for a test server",
    "models": "list the published models and their weights",
    "demo": "segment a photograph",
    "serve": "open a web page that segments pictures",
    "export": "write a model as a file that runs elsewhere",
    "bench": "measure a model: size, operations, time, memory",
}
# Bars of progress begin after a minute there, and are drawn once a minute: seconds.
_IN_A_LOG = ("TQDM_DELAY", "TQDM_MININTERVAL", "TQDM_MAXINTERVAL")
_EXAMPLES = (
    "prepare camvid",
    "doctor --dataset camvid",
    "train --dataset camvid --model deeplabv3plus --backbone mobilenet_v2",
    "demo street.jpg --model deeplabv3plus_mobilenet_v2_camvid",
    "export --model deeplabv3plus_mobilenet_v2_camvid --to onnx",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Raises SystemExit(2) for wrong usage, as argparse does."""
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
    """Run the command of that name; its exit code, 1 where it ends with a user's mistake.

    ``arguments``: default: those of this process. ``program``: what help calls it.
    """
    if not sys.stderr.isatty() and "tqdm" not in sys.modules:  # which reads them at its import
        for option in _IN_A_LOG:
            os.environ.setdefault(option, "60")
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
        # Whoever read the output, such as head, has had enough. Nothing more can be written, also
        # not by Python at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if not is_user_error(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    """Names the option that an unknown one is nearly."""

    def error(self, message):
        import difflib  # whoever types well does not wait for it

        words = message.partition("unrecognized arguments: ")[2].replace("=", " ").split()
        near = words and difflib.get_close_matches(words[0], self._option_string_actions, 1)
        super().error(f"{message} (did you mean {near[0]}?)" if near else message)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults beside their options, where there is one; the description's own paragraphs."""

    def _get_help_string(self, action):
        says_nothing = action.default in (None, False) or isinstance(action.default, list)
        return action.help if says_nothing else super()._get_help_string(action)

    def _fill_text(self, text, width, indent):
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.strip().split("\n\n"))


def _program() -> str:
    """How this was called: as the installed script, or as a module."""
    is_script = Path(sys.argv[0]).stem == "gluonvision"
    return "gluonvision" if is_script else "python -m gluonvision"


def _overview() -> argparse.ArgumentParser:
    program = _program()
    listed = "\n".join(f"  {name:10} {summary}" for name, summary in _COMMANDS.items())
    examples = "\n".join(f"  {program} {line}" for line in _EXAMPLES)
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} COMMAND ...",
        description="Semantic segmentation in Gluon's vocabulary, on PyTorch and on Apache MXNet.",
        epilog=f"commands:\n{listed}\n\nexamples:\n{examples}\n\n"
        f"'{program} COMMAND --help' lists a command's options.\n"
        "GLUONVISION_BACKEND=torch or mxnet chooses the framework, GLUONVISION_TRACEBACK=1 shows\n"
        "where an error comes from.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gluonvision {__version__}")
    return parser


def _refuse(arguments: Sequence[str]):
    """Help, the version, or an error that names close commands; all end the process."""
    parser = _overview()
    _, unknown = parser.parse_known_args(arguments)
    close = difflib.get_close_matches(unknown[0], _COMMANDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(_COMMANDS)}"
    parser.error(f"no command is called {unknown[0]!r}; {hint}")


if __name__ == "__main__":
    sys.exit(main())
