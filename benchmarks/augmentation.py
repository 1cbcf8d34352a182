"""Augmentation, from JPEG and mask on disk to a crop of 480: ours and three peers, in one run.

    python benchmarks/augmentation.py
    python benchmarks/augmentation.py --stages    # only time the stages of our routine

Each routine runs in its own process, on one core and one thread. The routines take turns and are
compared turn by turn, so that other load on the machine affects all of them alike. Their fastest
turns, which other load affects least, are compared too. The images are VOC's if the folder of real
data next to the repository has
them, otherwise generated images of 500x375.

- tutorial: the Pillow routine that the library's transform replaces: mirror, resize, rotate, pad,
  crop, blur. "Normalized" adds the next step of its script, which turns the crop into a normalized
  float array; ours leaves that to the device.
- torchvision v2: the same steps, on tensors (tv_tensors) and on Pillow images. Its blur and the
  order of its random draws differ, but the amount of work does not.
- GluonCV: its data set as it is; it does not rotate.

The second table measures the data loader in images per second: with 1 and 2 worker threads, with 1
and 2 worker processes, and in two independent processes with one worker thread each, the most that
two cores can do at that moment.
"""

import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_DATA = REPOSITORY.parent / "shared" / "data"
BASE, CROP = 520, 480
PASSES = 8
APART = "2 processes of one thread each"
LOADERS = ("1 worker thread", "2 worker threads", "1 worker process", "2 worker processes")


def ours(root, **options):
    import cv2

    from gluonvision.data import DataLoader, VOCSegmentationDataset

    cv2.setNumThreads(0)
    dataset = VOCSegmentationDataset(root, split="trainval", mode="train", **options)
    DataLoader(dataset, 1)  # as in training: it sets up the memory allocator of the process
    return lambda index, turn: dataset[index, turn]


def ours_with_options(root):
    return ours(root, photometric=True, cat_max_ratio=0.75)


def tutorial(root):
    import numpy as np
    from PIL import Image, ImageFilter, ImageOps

    def sample(index, turn):
        image, mask = _open(root, index)
        if random.random() < 0.5:
            image, mask = ImageOps.mirror(image), ImageOps.mirror(mask)
        long = random.randint(BASE // 2, BASE * 2)
        size = [max(round(side * long / max(image.size)), 1) for side in image.size]
        image, mask = image.resize(size, Image.BILINEAR), mask.resize(size, Image.NEAREST)
        angle = random.uniform(-10, 10)
        image, mask = image.rotate(angle, Image.BILINEAR), mask.rotate(angle, fillcolor=255)
        pad = (0, 0, max(CROP - size[0], 0), max(CROP - size[1], 0))
        image, mask = ImageOps.expand(image, pad), ImageOps.expand(mask, pad, fill=255)
        left, top = (random.randint(0, side - CROP) for side in image.size)
        box = (left, top, left + CROP, top + CROP)
        image, mask = image.crop(box), mask.crop(box)
        if random.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(random.random()))
        return np.array(image), _labels(np.array(mask))

    return sample


def tutorial_normalized(root):
    import numpy as np

    sample = tutorial(root)
    mean, std = (np.float32(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def normalized(index, turn):
        image, labels = sample(index, turn)
        image = (image.astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(image.transpose(2, 0, 1)), labels

    return normalized


def torchvision_tensors(root):
    return _torchvision(root, tensors=True)


def torchvision_pillow(root):
    return _torchvision(root, tensors=False)


def _torchvision(root, tensors):
    import numpy as np
    import peers

    peers.import_torchvision()
    import torch
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    fill = {tv_tensors.Image: 0, tv_tensors.Mask: 255, "others": 0}
    transform = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            # It resizes the shorter side, which is three quarters of the longer one.
            v2.RandomResize(BASE // 2 * 3 // 4, BASE * 2 * 3 // 4),
            v2.RandomRotation(10, v2.InterpolationMode.BILINEAR, fill=fill),
            v2.RandomCrop(CROP, pad_if_needed=True, fill=fill),
            v2.RandomApply([v2.GaussianBlur(7, (0.01, 1.0))]),
        ]
    )

    def sample(index, turn):
        image, mask = _open(root, index)
        mask = tv_tensors.Mask(np.array(mask)[None])
        image, mask = transform(v2.functional.to_image(image) if tensors else image, mask)
        return np.asarray(image), _labels(mask.numpy()[0])

    return sample


def gluoncv(root):
    import peers

    peers.import_gluoncv()
    from gluoncv.data import VOCSegmentation

    # Its "train" reads trainval.txt.
    dataset = VOCSegmentation(str(root / "VOCdevkit"), "train", "train")

    def sample(index, turn):
        return [array.asnumpy() for array in dataset[index]]

    return sample


ROUTINES = {
    "ours": ours,
    "ours, colours and class-aware crop": ours_with_options,
    "tutorial (Pillow)": tutorial,
    "tutorial, normalized": tutorial_normalized,
    "torchvision v2 (tensors)": torchvision_tensors,
    "torchvision v2 (Pillow)": torchvision_pillow,
    "GluonCV": gluoncv,
}
AIMS = {"tutorial (Pillow)": 1 / 6, "tutorial, normalized": 1 / 6}
PEERS = ("torchvision v2 (tensors)", "torchvision v2 (Pillow)", "GluonCV")


def _open(root, index):
    from PIL import Image

    folder = root / "VOCdevkit" / "VOC2012"
    name = (
        (folder / "ImageSets" / "Segmentation" / "trainval.txt")
        .read_text(encoding="utf-8")
        .split()[index]
    )
    image = Image.open(folder / "JPEGImages" / f"{name}.jpg").convert("RGB")
    return image, Image.open(folder / "SegmentationClass" / f"{name}.png")


def _labels(mask):
    import numpy as np

    labels = mask.astype(np.int32)
    labels[labels == 255] = -1
    return labels


def serve(routine, root, num_images):
    """Answer each line on stdin with the mean milliseconds per image, over PASSES passes.

    The time of a sample depends on its random draws, so a turn needs many samples.
    """
    sample = ROUTINES[routine](root)
    random.seed(0)
    for turn, _ in enumerate(sys.stdin):
        start = time.perf_counter()
        for draw, index in itertools.product(range(PASSES), range(num_images)):
            sample(index, turn * PASSES + draw)
        print(1e3 * (time.perf_counter() - start) / num_images / PASSES, flush=True)


def serve_loader(workers, root):
    """Answer each line on stdin with the images per second of one pass; ``workers``: of LOADERS."""
    from gluonvision.data import DataLoader, VOCSegmentationDataset

    dataset = VOCSegmentationDataset(root, split="trainval", mode="train")
    # Repeat the five images to 600 batches, half of SBD's, so that starting a pass counts as usual.
    dataset.images, dataset.masks = dataset.images * 960, dataset.masks * 960
    number, processes = int(workers[0]), "process" in workers
    loader = DataLoader(dataset, 8, shuffle=True, num_workers=number, processes=processes)
    for _ in sys.stdin:
        start = time.perf_counter()
        for _ in loader:
            pass
        print(len(dataset) / (time.perf_counter() - start), flush=True)


class Child:
    """A process that serves one routine: ``ask`` starts a turn, ``answer`` waits for the result."""

    def __init__(self, arguments, one_core=False):
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment["PYTHONPATH"] = f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests' / 'support'}"
        # GluonCV needs MXNet; the process does not import torch.
        environment["GLUONVISION_BACKEND"] = "mxnet" if "GluonCV" in arguments else "torch"
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        if one_core:
            os.sched_setaffinity(self.process.pid, {min(os.sched_getaffinity(0))})

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> float:
        return float(self.process.stdout.readline())

    def close(self):
        self.process.communicate()


def compare_routines(root, num_images, rounds):
    """Milliseconds of every routine in every round, one routine at a time."""
    arguments = [["--root", root, "--images", num_images, "--serve", name] for name in ROUTINES]
    children = [Child(a, one_core=True) for a in arguments]
    times = []
    for number in range(rounds + 1):
        turn = {}
        for place in range(len(children)):
            which = (place + number) % len(children)
            children[which].ask()
            turn[list(ROUTINES)[which]] = children[which].answer()
        times.append(turn)
    for child in children:
        child.close()
    return times[1:]  # the first turn includes one-time imports and caches


def compare_loaders(root, rounds):
    """Images per second of each of LOADERS, and of two independent processes, in every round."""
    served = (*LOADERS, LOADERS[0])
    *children, other = (Child(["--root", root, "--serve-loader", workers]) for workers in served)
    teams = {name: [child] for name, child in zip(LOADERS, children)}
    teams[APART] = [children[0], other]
    rates = []
    for number in range(rounds + 1):
        turn = {}
        for place in range(len(teams)):
            name = list(teams)[(place + number) % len(teams)]
            for child in teams[name]:
                child.ask()
            turn[name] = sum(child.answer() for child in teams[name])
        rates.append({name: turn[name] for name in teams})
    for child in (*children, other):
        child.close()
    return rates[1:]


def middle(values) -> str:
    """Median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:6.2f} ({low:.2f}-{high:.2f})"


def report_routines(times):
    print("\none core, one thread: median of the turns (quartiles), and the fastest turn")
    print(f"{'':36s}{'ms per image':>24s}{'fastest':>8s}{'times ours':>24s}{'fastest':>10s}")
    best = {"best of torchvision and GluonCV": [min(t[name] for name in PEERS) for t in times]}
    ours = [turn["ours"] for turn in times]
    for name, values in ({name: [t[name] for t in times] for name in ROUTINES} | best).items():
        ratios = middle([value / our for value, our in zip(values, ours)])
        line = f"{name:36s}{middle(values):>24s}{min(values):8.2f}{ratios:>24s}"
        print(f"{line}{min(values) / min(ours):10.2f}")


def routine_rows(times):
    """Compare ours with each peer."""
    ours = [turn["ours"] for turn in times]
    for peer in ROUTINES:
        if not peer.startswith("ours"):
            aim = AIMS.get(peer, 0.5)
            work = "a sample of 500 x 375, from its files to a crop of 480"
            theirs = [turn[peer] for turn in times]
            yield measuring.time_row(work, "time", ours, peer, theirs, aim=aim)


def loader_row(rates):
    """Compare two worker processes with two independent processes."""
    ours, theirs = ([1e3 / turn[name] for turn in rates] for name in (LOADERS[-1], APART))
    work = f"a sample out of the loader, by {LOADERS[-1]}"
    return measuring.time_row(work, "time", ours, APART, theirs)


def report_loaders(rates):
    print("\nthe loader, batches of 8: median of the turns (quartiles), and the fastest turn")
    heads = f"{'images per second':>24s}{'fastest':>8s}{'times one thread':>24s}{'fastest':>10s}"
    print(f"{'':36s}{heads}")
    most = {name: max(turn[name] for turn in rates) for name in rates[0]}
    one = LOADERS[0]
    for name in rates[0]:
        ratios = middle([turn[name] / turn[one] for turn in rates])
        line = f"{name:36s}{middle([r[name] for r in rates]):>24s}{most[name]:8.1f}{ratios:>24s}"
        print(f"{line}{most[name] / most[one]:10.2f}")
    for name in (LOADERS[1], LOADERS[-1]):
        share = middle([turn[name] / turn[APART] for turn in rates])
        both = most[name] / most[APART]
        print(f"{f'{name}, relative to {APART}':68s}{share:>24s}{both:10.2f}")


def report_stages(root, num_images, turns=60):
    """Print the mean time of each stage of our routine; each draw counts with its fastest of 3."""
    import cv2

    from gluonvision.data import DataLoader, VOCSegmentationDataset

    cv2.setNumThreads(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    dataset = VOCSegmentationDataset(root, split="trainval", mode="train")
    DataLoader(dataset, 1)
    least = {}
    for _, turn, index in itertools.product(range(3), range(turns), range(num_images)):
        for stage, seconds in _stages(dataset, index, turn).items():
            drawn = least.setdefault(stage, {})
            drawn[turn, index] = min(seconds, drawn.get((turn, index), seconds))
    for stage, seconds in least.items():
        print(f"{stage:36s}{1e3 * statistics.mean(seconds.values()):6.2f} ms")


def _stages(dataset, index, turn):
    from gluonvision.data.files import reading
    from gluonvision.data.transforms import augment

    marks = [time.perf_counter()]
    image = reading.read_image(dataset.images[index])
    marks.append(time.perf_counter())
    mask = reading.read_labels(dataset.masks[index], dataset.meta)
    marks.append(time.perf_counter())
    drawn = augment.draw(dataset._generator(index, turn), mask.shape, BASE, CROP)
    marks.append(time.perf_counter())
    augment.apply(drawn, image, mask, CROP)
    marks.append(time.perf_counter())
    parts = [end - start for start, end in itertools.pairwise(marks)]
    names = ("image from its file", "mask from its file", "draw", "warp, cut, blur", "together")
    return dict(zip(names, [*parts, sum(parts)]))


def main():
    parser = measuring.parser(__doc__)
    parser.set_defaults(rounds=15)
    parser.add_argument("--stages", action="store_true", help="only time the stages of our routine")
    parser.add_argument("--root", type=Path, help="folder that contains VOCdevkit")
    parser.add_argument("--images", type=int, default=5, help="internal: number of images")
    parser.add_argument("--serve", help="internal: routine to serve")
    parser.add_argument("--serve-loader", help="internal: workers of the loader to serve")
    options = parser.parse_args()
    if options.serve:
        return serve(options.serve, options.root, options.images)
    if options.serve_loader:
        return serve_loader(options.serve_loader, options.root)
    with tempfile.TemporaryDirectory() as generated:
        root = options.root or (REAL_DATA if (REAL_DATA / "VOCdevkit").is_dir() else None)
        if root is None:
            from gluonvision.data.datasets.synthetic import make_voc_like

            make_voc_like(generated, num_images=5)
            root = Path(generated)
        print(f"images: {root if root != Path(generated) else 'generated'}, {os.cpu_count()} cores")
        if options.stages:
            return report_stages(root, options.images)
        times = compare_routines(root, options.images, options.rounds)
        rates = compare_loaders(root, max(options.rounds // 5, 3))
        report_routines(times)
        report_loaders(rates)
        measuring.save("augmentation", [*routine_rows(times), loader_row(rates)], options)
    return None


if __name__ == "__main__":
    main()
