"""One training step: ours, and torchvision's models in the loop of its reference scripts.

    python benchmarks/training_step.py                  # one GPU: batches of 16 and 64, 480 x 480
    python benchmarks/training_step.py --profile        # also list the time of each kernel

Both go from uint8 images on the host to updated weights: SGD, ResNet50 at stride 8, auxiliary head,
21 classes. Ours uses bfloat16, channels last, compilation, the loss of coarse logits, and images
normalized on the device. The peer follows torchvision's ``references/segmentation/train.py`` with
--amp: normalized float images from the host, float16 autocast with its scaler, interpolation in the
model, cross-entropy. On a CPU: two images, float32, eager.

The share of the peak divides the model's arithmetic, three times that of a forward pass, by the
bfloat16 rate measured on the product of two 8192 x 8192 matrices.

The last row compares the data loader with FCN's step: a batch of augmented JPEGs of 500 x 375, by
one worker per core (processes on Linux). Below 1, the device never waits for data.
"""

import os
import tempfile
import time

import measuring
import numpy as np

MODELS = {"FCN": ("fcn", "fcn_resnet50"), "DeepLabV3": ("deeplabv3", "deeplabv3_resnet50")}
PEER = "torchvision, reference loop"
NCLASS = 21


def batch(number, side):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (number, side, side, 3), dtype=np.uint8)
    labels = random.integers(-1, NCLASS, (number, side, side)).astype(np.int32)
    return images, labels


def our_step(name, device, images, labels):
    from gluonvision import backend, loss, model_zoo
    from gluonvision.backend.trainer_options import TrainerOptions

    make = {"fcn": model_zoo.FCN, "deeplabv3": model_zoo.DeepLabV3}[name]
    net = make(NCLASS, "resnet50_v1b", aux=True, pretrained_base=False).to(device)
    is_gpu = device.type == "cuda"
    precision = "bf16" if is_gpu else "fp32"
    options = TrainerOptions(precision=precision, channels_last=is_gpu, compile=is_gpu)
    trainer = backend.Trainer(net, loss.get_loss("ce"), options)

    def step():
        x = backend.preprocess(images, device)
        trainer.update([(x, backend.array(labels, device))], [1.0], 0.01)

    return step


def torchvision_step(name, device, images, labels):
    import peers

    torchvision = peers.import_torchvision()
    import torch
    from torch.nn import functional

    make = getattr(torchvision.models.segmentation, name)
    net = make(weights=None, weights_backbone=None, num_classes=NCLASS, aux_loss=True).to(device)
    weights = [w for w in net.parameters() if w.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-4)
    is_gpu = device.type == "cuda"
    scaler = torch.amp.GradScaler(device.type, enabled=is_gpu)
    # Its data loader has normalized the images already.
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    images = torch.tensor(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())
    labels = torch.tensor(np.where(labels < 0, 255, labels)).long()
    if is_gpu:
        images, labels = images.pin_memory(), labels.pin_memory()

    def step():
        x, target = images.to(device), labels.to(device)
        with torch.autocast(device.type, torch.float16, enabled=is_gpu):
            output = net(x)
            losses = {
                k: functional.cross_entropy(v, target, ignore_index=255) for k, v in output.items()
            }
            value = losses["out"] + 0.5 * losses["aux"]
        optimizer.zero_grad()
        scaler.scale(value).backward()
        scaler.step(optimizer)
        scaler.update()
        value.item()  # its logger reads the loss in every step

    return step


def operations(name, side):
    """Count the multiplications and additions of one image's forward pass."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from gluonvision import model_zoo

    make = {"fcn": model_zoo.FCN, "deeplabv3": model_zoo.DeepLabV3}[name]
    net = make(NCLASS, "resnet50_v1b", aux=True, pretrained_base=False).eval()
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        net.to("meta")(torch.zeros(1, 3, side, side))
    return counter.get_total_flops()


def matrix_rate(device):
    """Measure the operations per second of a product of two bfloat16 matrices."""
    import torch

    size = 8192
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = measuring.take_turns({"product": lambda: a @ b}, 20, torch.cuda.synchronize)
    return 2 * size**3 / (1e-3 * min(times["product"]))


def profile(step):
    import torch

    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as taken:
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    print(taken.key_averages().table(sort_by="self_cuda_time_total", row_limit=25))


def loader_row(step_row, number, side):
    """Compare the time of a batch from the loader with that of a training step."""
    from gluonvision.data import DataLoader, VOCSegmentationDataset
    from gluonvision.data.datasets.synthetic import make_voc_like
    from gluonvision.data.loading.forked_workers import can_fork

    with tempfile.TemporaryDirectory() as folder:
        make_voc_like(folder, num_images=16, size=(375, 500))
        dataset = VOCSegmentationDataset(folder, "trainval", mode="train", crop_size=side)
        dataset.images, dataset.masks = dataset.images * 48, dataset.masks * 48
        loader = DataLoader(dataset, number, num_workers=os.cpu_count(), processes=can_fork())
        for _ in loader:  # warm-up
            pass
        start = time.perf_counter()
        for _ in loader:
            pass
        taken = 1e3 * (time.perf_counter() - start) / len(loader)
    return {
        "work": f"a batch of {number} x {side} x {side} by {os.cpu_count()} workers",
        "quantity": "time of a batch",
        "unit": "ms",
        "ours": taken,
        "peer": step_row["work"].partition(",")[0] + ", our step",
        "theirs": step_row["ours"],
        "ratio": taken / step_row["ours"],
        "aim": 1.0,
    }


def compare(model, number, side, device, options):
    import torch

    is_gpu = device.type == "cuda"
    images, labels = batch(number, side)
    ours, theirs = MODELS[model]
    steps = {
        "ours": our_step(ours, device, images, labels),
        PEER: torchvision_step(theirs, device, images, labels),
    }
    synchronize = torch.cuda.synchronize if is_gpu else None
    for step in steps.values():
        for _ in range(4 if is_gpu else 1):
            step()
    times = measuring.take_turns(steps, options.rounds, synchronize, options.threads)
    work = f"{model}-ResNet50, stride 8, {number} x {side} x {side}, {device.type}"
    row = measuring.time_row(
        work, "time of a step", times["ours"], PEER, times[PEER], **({"aim": 0.5} if is_gpu else {})
    )
    if is_gpu:
        done = 3 * number * operations(ours, side) / (1e-3 * row["ours"])
        row["share of the bfloat16 peak"] = done / matrix_rate(device)
        if options.profile:
            profile(steps["ours"])
    return row


def main():
    parser = measuring.parser(__doc__)
    parser.add_argument(
        "--profile", action="store_true", help="also list the GPU time of each kernel"
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", help="batch sizes (default: 16 64; on a CPU 2)"
    )
    parser.add_argument("--side", type=int, default=480, help="side of the images, in pixels")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    is_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if is_gpu else "cpu")
    batches = options.batches or ([16, 64] if is_gpu else [2])
    side = options.side
    rows = [compare(m, number, side, device, options) for m in MODELS for number in batches]
    rows.append(loader_row(rows[len(batches) - 1], batches[-1], side))
    measuring.save(f"training_step_{device.type}", rows, options)


if __name__ == "__main__":
    main()
