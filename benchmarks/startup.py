"""How long one waits for a picture: imports, and the demo from its start to its end.

    python benchmarks/startup.py

``import gluonvision`` against peers' imports, beside what an empty Python takes. The demo, which
reads a photograph, loads a model, segments, and writes mask and overlay, against the least that
there is: a script that imports torch and the model, loads the same weights, and goes forward once.
All in processes of their own; what is measured is the processor's time of each.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import measuring

MODEL = "deeplabv3plus_mobilenet_v2_camvid"
SIZE = (480, 360)
_TORCHVISION = "import peers; peers.import_torchvision()"  # also where its operators are missing
PEERS = {
    "import torchvision": _TORCHVISION,
    "import segmentation_models_pytorch": f"{_TORCHVISION}; import segmentation_models_pytorch",
}
LEAST = f"""
import torch
from gluonvision.model_zoo import get_model
net = get_model({MODEL!r}, pretrained=True).eval()
with torch.no_grad():
    net(torch.zeros(1, 3, {SIZE[1]}, {SIZE[0]}))
"""


def import_rows(rounds):
    """Milliseconds of imports, beside those of an empty Python."""
    codes = {"empty": "pass", "ours": "import gluonvision", **PEERS}
    times = processes({name: [sys.executable, "-c", code] for name, code in codes.items()}, rounds)
    least = {name: min(values) - min(times["empty"]) for name, values in times.items()}
    for peer in PEERS:
        yield {
            "work": "import",
            "quantity": "time",
            "unit": "ms",
            "ours": least["ours"],
            "peer": peer,
            "theirs": least[peer],
            "ratio": least["ours"] / least[peer],
            "aim": 100 / least[peer],
        }


def demo_rows(rounds):
    """Milliseconds of the demo, and of the least that can be done."""
    with tempfile.TemporaryDirectory() as folder:
        from PIL import Image

        photograph = Path(folder) / "photograph.jpg"
        Image.effect_noise(SIZE, 60).convert("RGB").save(photograph)
        demo = [sys.executable, "-m", "gluonvision", "demo", str(photograph), "--model", MODEL]
        demo += ["--dataset", "camvid", "--output-folder", folder]
        commands = {"ours": demo, "least": [sys.executable, "-c", LEAST]}
        times = processes(commands, rounds)
    peer = "import torch, load, forward"
    work = f"demo of {MODEL}, {SIZE[0]} x {SIZE[1]}"
    yield measuring.time_row(work, "time", times["ours"], peer, times["least"], aim=1.5)


def processes(commands, rounds):
    """Milliseconds of each command in each round, in turn."""
    times = {name: [] for name in commands}
    for turn in range(-1, rounds):
        for name, command in commands.items():
            taken = measuring.process_milliseconds(command)
            if turn >= 0:  # the first reads files from the disk
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
