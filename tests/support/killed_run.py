"""``main.py`` that gets a signal at a moment: python killed_run.py SIGNAL MOMENT OPTIONS...

Moments are counted from 1: before each update of the weights, before each file is synced, before
and after each file is given its name. MOMENT 0 is never.
"""

import itertools
import os
import runpy
import signal
import sys
from pathlib import Path

MAIN = Path(__file__).parents[2] / "scripts" / "segmentation" / "main.py"


def signalled_at(moment: int, number: int):
    """A function that counts its calls and at one of them sends the process a signal."""
    numbers = itertools.count(1)

    def count():
        if next(numbers) == moment:
            os.kill(os.getpid(), number)

    return count


def counted(function, before, after=lambda: None):
    def call(*args, **kwargs):
        before()
        result = function(*args, **kwargs)
        after()
        return result

    return call


def main():
    from gluonvision import backend

    count = signalled_at(int(sys.argv[2]), signal.Signals[sys.argv[1]])
    os.fsync = counted(os.fsync, count)
    os.replace = counted(os.replace, count, count)
    backend.Trainer.update = counted(backend.Trainer.update, count)
    sys.argv = [str(MAIN), *sys.argv[3:]]
    runpy.run_path(str(MAIN), run_name="__main__")


if __name__ == "__main__":
    main()
