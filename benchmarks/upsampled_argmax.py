"""From coarse logits to the class of each pixel: ours and the usual interpolation.

    python benchmarks/upsampled_argmax.py

The peer is ``interpolate`` and ``argmax``, as in torchvision, mmsegmentation and timm-style code;
and ``interpolate`` and ``max``, for which torch has a faster kernel on CPUs. There are two kinds of
logits: "things" (smooth fields with borders between them) and "noise" (neighbours hardly ever share
a class), the worst case.
"""

import measuring

PEERS = {"torch: interpolate, argmax": "argmax", "torch: interpolate, max": "max"}
CASES = [  # classes, height, width, stride
    (21, 480, 480, 8),
    (150, 480, 480, 8),
    (19, 1024, 2048, 8),
    (19, 1024, 2048, 4),
    (150, 1024, 2048, 8),
]


def coarse_logits(kind, nclass, height, width, stride, device):
    """Draw random logits (1, nclass, h, w): 'things' or 'noise'."""
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    size = (height // stride, width // stride)
    if kind == "noise":
        return torch.randn(1, nclass, *size, device=device)
    # The number of fields does not depend on the size; about 15 of 100 cells have a border.
    fields = torch.randn(1, nclass, 4, 4 * width // height, device=device)
    return functional.interpolate(fields, size, mode="bicubic")


def compare(kind, case, device, options):
    import torch
    from torch.nn import functional

    from gluonvision.backend.torch.logits import resized_argmax

    nclass, height, width, stride = case
    logits = coarse_logits(kind, *case, device)

    def plain(name):
        full = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=True)
        return getattr(full, name)(1)

    routines = {"ours": lambda: resized_argmax(logits, (height, width), True)}
    routines |= {peer: lambda name=name: plain(name) for peer, name in PEERS.items()}
    differ = (routines["ours"]() != plain("argmax")).float().mean().item()
    assert differ < 1e-5, f"{differ:.1e} of the classes differ"
    synchronize = torch.cuda.synchronize if device == "cuda" else None
    times = measuring.take_turns(routines, options.rounds, synchronize, options.threads)
    work = f"{kind}, {nclass} classes, {height} x {width}, stride {stride}, {device}"
    for peer in PEERS:
        yield measuring.time_row(work, "time", times["ours"], peer, times[peer], aim=1.0)


def main():
    options = measuring.parser(__doc__).parse_args()
    import torch

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.no_grad():
        rows = [
            row
            for kind in ("things", "noise")
            for case in CASES
            for row in compare(kind, case, device, options)
        ]
    measuring.save(f"upsampled_argmax_{device}", rows, options)


if __name__ == "__main__":
    main()
