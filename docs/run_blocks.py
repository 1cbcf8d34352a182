"""Run the code in the documentation: every block that is marked python or bash.

    python docs/run_blocks.py                      # all pages, under GLUONVISION_BACKEND
    python docs/run_blocks.py docs/losses.md

The blocks of a page run in order, in one namespace and one temporary folder. It has scripts/,
recipes/, a photograph street.jpg, and small generated data sets in GLUONVISION_DATA. A block inside
an HTML comment runs but is not shown. A comment right above a block can restrict it:
<!-- run: torch --> (or mxnet), <!-- run: never, REASON -->. Trainings are shortened: ResNets get 18
layers, and ``SMALL`` is appended to the options. The first failing block ends the program and is
named by page and line.
"""

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import small_data

from gluonvision import backend

DOCS = Path(__file__).resolve().parent
SMALL = (
    "--no-cuda --no-pretrained-base --no-compile --epochs 1 --batch-size 2 --base-size 40 "
    "--crop-size 33 --workers 0 --no-tensorboard"
)
_BLOCK = re.compile(
    r"(?:^<!-- run: (?P<when>[^\n]*?)(?: -->)?\n)?^```(?P<kind>python|bash)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_TRAINING = re.compile(
    r"^(?!\s*#).*(?:(?:python|torchrun) .*segmentation/main\.py|gluonvision train)\b.*$",
    re.MULTILINE,
)


class Block(NamedTuple):
    """One block of a page: its language, code and first line, and where it may run."""

    kind: str
    code: str
    line: int
    when: str = ""

    def runs_under(self, name: str) -> bool:
        """Whether the block runs on the backend of that name."""
        if self.when not in ("", *backend.BACKENDS) and not self.when.startswith("never, "):
            raise ValueError(
                f"'run: {self.when}': expected {' or '.join(backend.BACKENDS)} or 'never, REASON'"
            )
        return self.when in ("", name)


def blocks(text: str) -> list[Block]:
    """List the blocks of a page in order."""
    return [
        Block(m["kind"], m["code"], text.count("\n", 0, m.start("code")) + 1, m["when"] or "")
        for m in _BLOCK.finditer(text)
    ]


def run_page(page: Path) -> int:
    """Run the blocks of a page in a temporary folder; return their number."""
    namespace, before = {"__name__": "__main__"}, Path.cwd()
    chosen = [b for b in blocks(page.read_text(encoding="utf-8")) if b.runs_under(backend.NAME)]
    with tempfile.TemporaryDirectory() as folder:
        if chosen:
            os.environ |= small_data.furnish(Path(folder))
        os.chdir(folder)
        try:
            for block in chosen:
                _run(block, page, namespace)
        finally:
            os.chdir(before)
    return len(chosen)


def _run(block, page, namespace):
    try:
        if block.kind == "python":
            # Insert as many lines as are above the block, so that tracebacks name the page's lines.
            source = "\n" * (block.line - 1) + block.code
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, str(page), "exec"), namespace)
        else:
            _run_shell(small(block.code))
    except BaseException as error:
        error.add_note(f"in the {block.kind} block at {page}:{block.line}, under {backend.NAME}")
        raise


def _run_shell(code):
    command = ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{code}\nended with {done.returncode}:\n{done.stdout}")


def small(code: str) -> str:
    """Shorten the trainings in the code of a bash block."""
    return _TRAINING.sub(_small_training, code.replace("\\\n", " "))


def _small_training(line: re.Match) -> str:
    return re.sub(r"(?<=--backbone resnet)\d+", "18", f"{line[0]} {SMALL}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path, help="default: all")
    pages = parser.parse_args().pages or sorted(DOCS.glob("*.md"))
    # Commands in blocks use this Python and this checkout's gluonvision.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = str(DOCS.parent)
    for page in pages:
        start = time.monotonic()
        count = run_page(page.resolve())
        seconds = time.monotonic() - start
        print(f"{page.name}: {count} blocks, {seconds:.1f} s, {backend.NAME}", flush=True)


if __name__ == "__main__":
    main()
