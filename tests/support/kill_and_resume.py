"""The long form of the kill test: a run is killed at random moments and resumed, many times.

python tests/support/kill_and_resume.py --kills 20

Makes a small data set, trains on it once undisturbed, and once with kills (SIGKILL) at random
moments, each resumed with ``--resume auto``; then compares every weight and state, bit for bit.
Options after ``--`` go to main.py: ``-- --ngpus 2 --syncbn``.
"""

import argparse
import itertools
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.runs import checkpoint

MAIN = Path(__file__).parents[2] / "scripts" / "segmentation" / "main.py"
RUN = Path("runs/pascal_voc/fcn/default")
OPTIONS = shlex.split(
    "--model fcn --backbone mobilenet_v2 --no-pretrained-base --base-size 80 --crop-size 64 "
    "--batch-size 4 --lr 0.01 --ema 0.9 --train-split trainval --save-every 1 "
    "--val-every 2 --no-cuda --no-tensorboard --resume auto"
)
# Every kill lets the run do two steps and a part of one at most: it must have more than all take.
EPOCHS_A_KILL = 2  # of two steps
AT_THE_START = 0.25  # the share of kills before the first step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("options", nargs="*", help="more options of main.py, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(compare(Path(folder), arguments))


def compare(folder, arguments):
    make_voc_like(folder / "data", num_images=10, size=(90, 120))
    line = [sys.executable, "-W", "ignore", MAIN, *OPTIONS]
    line += ["--epochs", str(EPOCHS_A_KILL * arguments.kills), *arguments.options]
    line += ["--data-folder", folder / "data"]
    for name in ("whole", "killed"):
        (folder / name).mkdir()
    subprocess.run(line, cwd=folder / "whole", check=True)
    kills = kill_at_random(line, folder / "killed", arguments)
    subprocess.run(line, cwd=folder / "killed", check=True, stderr=subprocess.DEVNULL)
    return report(*(contents(folder / name) for name in ("whole", "killed")), kills, arguments)


def kill_at_random(line, folder, arguments):
    """Kill it so often, each time a step or two on, or before it has begun; how many it met."""
    moments, kills, start, step = random.Random(arguments.seed), 0, 5.0, 1.0
    for _ in tqdm(range(arguments.kills), unit="kill"):
        process = subprocess.Popen(
            line,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if kills and moments.random() < AT_THE_START:
            time.sleep(moments.uniform(0, start))
        else:
            start, last = seconds_of_steps(process, folder, moments.randint(1, 2))
            step = last or step
            time.sleep(moments.uniform(0, step))
        kills += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return kills


def seconds_of_steps(process, folder, steps):
    """Wait for so many new states: the seconds until the first, and of the last after it."""
    times, seen = [time.monotonic()], newest(folder)
    while process.poll() is None and len(times) <= steps:
        time.sleep(0.01)
        if newest(folder) != seen:
            seen = newest(folder)
            times.append(time.monotonic())
    seconds = [after - before for before, after in itertools.pairwise(times)]
    return sum(seconds[:1]), sum(seconds[1:])


def newest(folder):
    found = checkpoint.list_checkpoints(folder / RUN / "states")
    return found[-1].name if found else None


def contents(folder):
    run = folder / RUN
    files = [
        run / "checkpoint.params",
        run / "best.params",
        *checkpoint.list_checkpoints(run / "states"),
    ]
    return {path.name: path.read_bytes() for path in files}


def report(whole, killed, kills, arguments):
    different = sorted({n for n in whole.keys() | killed.keys() if whole.get(n) != killed.get(n)})
    print(f"{kills} kills; {len(whole)} files; different: {', '.join(different) or 'none'}")
    return int(bool(different) or kills < arguments.kills)


if __name__ == "__main__":
    main()
