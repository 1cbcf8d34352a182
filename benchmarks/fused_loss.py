"""The loss of coarse logits, forward and backward: ours and the usual interpolation.

    python benchmarks/fused_loss.py

The peer does what the models and losses of torchvision and mmsegmentation do: ``interpolate`` to
the size of the labels, then ``cross_entropy`` with an ignored label. Both start from the logits at
stride 8 and end with their gradient, in bfloat16 on a GPU as under autocast. Memory is the peak
above the memory in use before; on a CPU, it is measured in a separate process.
"""

import json
import sys

import measuring

PEER = "torch: interpolate, cross_entropy"
AIM = {"cpu": {"time": 1.0, "memory": 0.2}, "cuda": {"time": 0.5, "memory": 0.2}}
CASES = {  # classes, side, stride, batch
    "cpu": [(2, 480, 8, 4), (21, 480, 8, 2), (19, 768, 4, 2), (150, 512, 8, 2)],
    "cuda": [(21, 480, 8, 16), (19, 768, 4, 16), (150, 512, 8, 16)],
}


def routines(device, nclass, side, stride, batch):
    """The functions to compare; each computes the gradient of the logits."""
    import torch
    from torch.nn import functional

    from gluonvision.loss import get_loss

    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    size = (batch, nclass, -(-side // stride), -(-side // stride))
    logits = torch.randn(size, device=device, dtype=dtype, requires_grad=True)
    label = torch.randint(-1, nclass, (batch, side, side), device=device)
    loss = get_loss("ce")

    def ours():
        return loss(logits.float(), label)

    def plain():
        full = functional.interpolate(logits, (side, side), mode="bilinear", align_corners=True)
        return functional.cross_entropy(full.float(), label, ignore_index=-1)

    def differentiated(function):
        def run():
            logits.grad = None
            function().backward()

        return run

    return {name: differentiated(f) for name, f in (("ours", ours), (PEER, plain))}


def measure_memory(device, name, case):
    """Print the peak memory of one call, in bytes."""
    import torch

    run = routines(device, *case)[name]
    if device == "cuda":
        run()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        peak = torch.cuda.max_memory_allocated()
    else:
        routines(device, 3, 32, 8, 1)[name]()  # load libraries before measuring
        peak, before = measuring.memory_taken(run), 0
    print(json.dumps({"bytes": peak - before}))


def compare(device, case, rounds):
    """Measure one case; yield its rows for time and memory."""
    import torch

    synchronize = torch.cuda.synchronize if device == "cuda" else None
    threads = torch.get_num_threads()
    times = measuring.take_turns(routines(device, *case), rounds, synchronize, threads)
    nclass, side, stride, batch = case
    work = f"{nclass} classes, {batch} x {side} x {side}, stride {stride}, {device}"
    aims = AIM[device]
    # With two classes, there is little to gain: only check that nothing is lost.
    aim = 1.15 if nclass == 2 else aims["time"]
    yield measuring.time_row(work, "time", times["ours"], PEER, times[PEER], aim=aim)
    ours, theirs = (
        measuring.in_process(__file__, "--memory", device, name, json.dumps(case), gives_back=True)[
            "bytes"
        ]
        / 2**20
        for name in ("ours", PEER)
    )
    yield {
        "work": work,
        "quantity": "peak memory",
        "unit": "MiB",
        "ours": ours,
        "peer": PEER,
        "theirs": theirs,
        "ratio": ours / theirs,
        **({"aim": aims["memory"]} if nclass == 150 else {}),
    }


def main():
    if sys.argv[1:2] == ["--memory"]:
        return measure_memory(*sys.argv[2:4], json.loads(sys.argv[4]))
    options = measuring.parser(__doc__).parse_args()
    import torch

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = [row for case in CASES[device] for row in compare(device, case, options.rounds)]
    return measuring.save(f"fused_loss_{device}", rows, options)


if __name__ == "__main__":
    main()
