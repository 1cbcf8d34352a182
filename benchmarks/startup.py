"""Start-up time: imports, and the demo from start to end.

    python benchmarks/startup.py

The first part compares ``import gluonvision`` with the imports of peers, minus the start of an
empty Python. The second compares the demo (read a photograph, load a model, segment, write mask and
overlay) with the minimum: a script that imports torch and the model, loads the same weights, and
runs one forward pass. Everything runs in separate processes; times are CPU times.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import measuring

MODEL = "deeplabv3plus_mobilenet_v2_camvid"
SIZE = (480, 360)
_TORCHVISION = (
    "import peers; peers.import_torchvision()"  # works without its compiled operators, too
)
PEERS = {
    "import torchvision": _TORCHVISION,
    "import segmentation_models_pytorch": f"{_TORCHVISION}; import segmentation_models_pytorch",
}
MINIMUM = f"""
import torch
from gluonvision.model_zoo import get_model
net = get_model({MODEL!r}, pretrained=True).eval()
with torch.no_grad():
    net(torch.zeros(1, 3, {SIZE[1]}, {SIZE[0]}))
"""


def import_rows(rounds):
    """Time the imports, in milliseconds, minus the start of an empty Python."""
    codes = {"empty": "pass", "ours": "import gluonvision", **PEERS}
    times = processes({name: [sys.executable, "-c", code] for name, code in codes.items()}, rounds)
    fastest = {name: min(values) - min(times["empty"]) for name, values in times.items()}
    for peer in PEERS:
        yield {
            "work": "import",
            "quantity": "time",
            "unit": "ms",
            "ours": fastest["ours"],
            "peer": peer,
            "theirs": fastest[peer],
            "ratio": fastest["ours"] / fastest[peer],
            "aim": 100 / fastest[peer],
        }


def demo_rows(rounds):
    """Time the demo and the minimum, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        from PIL import Image

        photograph = Path(folder) / "photograph.jpg"
        Image.effect_noise(SIZE, 60).convert("RGB").save(photograph)
        demo = [sys.executable, "-m", "gluonvision", "demo", str(photograph), "--model", MODEL]
        demo += ["--dataset", "camvid", "--output-folder", folder]
        commands = {"ours": demo, "minimum": [sys.executable, "-c", MINIMUM]}
        times = processes(commands, rounds)
    peer = "import torch, load, forward"
    work = f"demo of {MODEL}, {SIZE[0]} x {SIZE[1]}"
    yield measuring.time_row(work, "time", times["ours"], peer, times["minimum"], aim=1.5)


def processes(commands, rounds):
    """Time each command in each round, in turn, in milliseconds."""
    times = {name: [] for name in commands}
    for turn in range(-1, rounds):
        for name, command in commands.items():
            taken = measuring.process_milliseconds(command)
            if turn >= 0:  # skip the first turn, which reads files from the disk
                times[name].append(taken)
    spread = {name: f"{statistics.median(t):.0f}" for name, t in times.items()}
    print("medians, ms:", spread)
    return times


def main():
    options = measuring.parser(__doc__).parse_args()
    rows = [*import_rows(options.rounds), *demo_rows(options.rounds)]
    measuring.save("startup", rows, options)


if __name__ == "__main__":
    main()
