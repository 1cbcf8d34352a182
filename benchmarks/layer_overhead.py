"""The overhead of Gluon's vocabulary over plain torch: one net, written both ways.

    python benchmarks/layer_overhead.py

Both nets have the same weights and operators. Their forward passes are timed in turn (A B B A ...)
and compared in pairs. At a small size, Python takes most of the time, so the difference is the
overhead in microseconds. It is then related to the time at a realistic size.
"""

import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional
from tqdm import trange

from gluonvision import backend
from gluonvision.model_zoo import FCN


class PlainBottleneck(nn.Module):
    """The residual block of ResNet V1b in plain torch."""

    def __init__(self, in_channels, channels, stride, dilation):
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(
            channels, channels, 3, stride, dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x):
        out = functional.relu(self.bn1(self.conv1(x)))
        out = functional.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))


class PlainBackbone(nn.Module):
    """ResNet50 V1b at output stride 8 in plain torch."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _plain_stage(64, 64, 3, 1, 1, 1)
        self.layer2 = _plain_stage(256, 128, 4, 2, 1, 1)
        self.layer3 = _plain_stage(512, 256, 6, 1, 1, 2)
        self.layer4 = _plain_stage(1024, 512, 3, 1, 2, 4)

    def forward(self, x):
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _plain_stage(in_channels, channels, num_blocks, stride, before, after):
    blocks = [PlainBottleneck(in_channels, channels, stride, before)]
    for _ in range(num_blocks - 1):
        blocks.append(PlainBottleneck(4 * channels, channels, 1, after))
    return nn.Sequential(*blocks)


class PlainHead(nn.Module):
    """The FCN head in plain torch."""

    def __init__(self, nclass):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(2048, 512, 3, padding=1, bias=False),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(512, nclass, 1),
        )

    def forward(self, x):
        return self.block(x)


class PlainFCN(nn.Module):
    """FCN on ResNet50 V1b in plain torch, with our names, so that state_dict fits both."""

    def __init__(self, nclass):
        super().__init__()
        self.pretrained = PlainBackbone()
        self.head = PlainHead(nclass)

    def forward(self, x):
        logits = self.head(self.pretrained(x))
        return functional.interpolate(logits, x.shape[2:], mode="bilinear", align_corners=True)


def seconds(net, x) -> float:
    """Time one forward pass."""
    start = time.perf_counter()
    net(x)
    return time.perf_counter() - start


def compare(ours, plain, x, pairs: int, label: str):
    """Median of our time and of the paired difference, in seconds, after one warm-up each."""
    seconds(ours, x), seconds(plain, x)
    own, differences = [], []
    for i in trange(pairs, desc=label, leave=False):
        order = (ours, plain) if i % 2 else (plain, ours)
        times = {net: seconds(net, x) for net in order}
        own.append(times[ours])
        differences.append(times[ours] - times[plain])
    return statistics.median(own), statistics.median(differences)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15, help="number of pairs at the large size")
    parser.add_argument("--size", type=int, default=480, help="side of the image, in pixels")
    options = parser.parse_args()

    backend.seed(0)
    ours = FCN(21, "resnet50_v1b", pretrained_base=False).eval()
    plain = PlainFCN(21).eval()
    plain.load_state_dict(ours.state_dict(), strict=False)
    small, large = torch.randn(1, 3, 33, 33), torch.randn(1, 3, options.size, options.size)
    with torch.no_grad():
        assert torch.equal(ours(small), plain(small)), "the two nets give different results"
        _, cost = compare(ours, plain, small, 20 * options.pairs, "33x33")
        whole, difference = compare(ours, plain, large, options.pairs, f"{options.size} squared")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, FCN on ResNet50, batch 1")
    print(f"the overhead is {1e6 * cost:.0f} microseconds per forward pass (33x33)")
    print(f"a forward pass at {options.size}x{options.size} takes {1e3 * whole:.0f} ms")
    print(f"relative overhead: {cost / whole:.3%}; measured directly: {difference / whole:+.2%}")


if __name__ == "__main__":
    main()
