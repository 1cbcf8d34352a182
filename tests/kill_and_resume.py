"""The long form of the kill test: a run is killed at random moments and resumed, many times.

python tests/kill_and_resume.py --kills 20

Makes a small data set, trains on it once undisturbed, and once with kills (SIGKILL) at random
moments, each resumed with ``--resume auto``; then compares every weight and state, bit for bit.
Options after ``--`` go to main.py: ``-- --ngpus 2 --syncbn``.
"""

import argparse
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

from gluonvision.data.synthetic import make_voc_like
from gluonvision.segmentation import states

MAIN = Path(__file__).parents[1] / "scripts" / "segmentation" / "main.py"
OPTIONS = shlex.split(
    "--model fcn --backbone mobilenet_v2 --no-pretrained-base --base-size 80 --crop-size 64 "
    "--batch-size 4 --epochs 20 --lr 0.01 --ema 0.9 --train-split trainval --save-every 1 "
    "--val-every 2 --no-cuda --no-tensorboard --resume auto"
)


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
    line = [sys.executable, "-W", "ignore", MAIN, *OPTIONS, *arguments.options]
    line += ["--data-folder", folder / "data"]
    for name in ("whole", "killed"):
        (folder / name).mkdir()
    begun = time.monotonic()
    finish(line, folder / "whole")
    seconds = time.monotonic() - begun
    kills = kill_at_random(line, folder / "killed", arguments, seconds)
    finish(line, folder / "killed")
    return report(*(contents(folder / name) for name in ("whole", "killed")), kills)


def finish(line, folder):
    subprocess.run(line, cwd=folder, check=True, stderr=subprocess.DEVNULL)


def kill_at_random(line, folder, arguments, seconds):
    """Kill it so often; each time after as long as a few of its steps take, or at its start."""
    moments, kills = random.Random(arguments.seed), 0
    for _ in tqdm(range(arguments.kills), unit="kill"):
        process = subprocess.Popen(
            line,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout=moments.uniform(0.1, 0.6) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    return kills


def contents(folder):
    run = folder / "runs" / "pascal_voc" / "fcn" / "default"
    files = [run / "checkpoint.params", run / "best.params", *states.list_states(run / "states")]
    return {path.name: path.read_bytes() for path in files}


def report(whole, killed, kills):
    different = sorted({n for n in whole.keys() | killed.keys() if whole.get(n) != killed.get(n)})
    print(f"{kills} kills; {len(whole)} files; different: {', '.join(different) or 'none'}")
    return 1 if different else 0


if __name__ == "__main__":
    main()
