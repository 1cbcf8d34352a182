"""The cost of training on two processes: DistributedDataParallel on CPUs.

    python benchmarks/ddp.py

Each process runs training steps of FCN on ResNet18 with its own batch, on one thread. Gloo
exchanges the gradients. In one run, the benchmark compares a step with the exchange, a step without
it (``no_sync``), and the exchange alone. It also records the fraction of gradients that are not
computed yet when the exchange starts, which shows that the exchange overlaps with the backward
pass. How much time this saves depends on idle cores.
"""

import os
import statistics
import time

import measuring

PEER = "the same step, gradients not exchanged"
SIDE, BATCH = 96, 2


def step_times(rounds):
    """Time a step with the exchange, one without it, and the exchange alone, in milliseconds."""
    import contextlib

    import numpy as np
    import torch

    from gluonvision import backend
    from gluonvision.backend.trainer_options import TrainerOptions
    from gluonvision.loss import get_loss
    from gluonvision.model_zoo import FCN

    torch.set_num_threads(1)
    backend.seed(0)
    net = FCN(21, "resnet18", pretrained_base=False)
    trainer = backend.Trainer(net, get_loss("ce"), TrainerOptions())
    random = np.random.default_rng(backend.rank())
    x = backend.array(random.standard_normal((BATCH, 3, SIDE, SIDE)).astype("float32"))
    label = backend.array(random.integers(-1, 21, (BATCH, SIDE, SIDE)).astype("int32"))
    gradients = torch.zeros(sum(w.numel() for w in net.parameters()))

    def step(is_exchanged):
        scope = contextlib.nullcontext() if is_exchanged else trainer._shared.no_sync()
        with scope:
            trainer.update([(x, label)], [0.5], 0.01)

    missing = _watch_exchange(trainer)
    routines = {
        PEER: lambda: step(False),
        "ours": lambda: step(True),
        "exchange": lambda: torch.distributed.all_reduce(gradients),
    }
    times = {name: [] for name in routines}
    for turn in range(-1, rounds):
        for name, routine in routines.items():
            torch.distributed.barrier()
            start = time.perf_counter()
            routine()
            if turn >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times, missing


def _watch_exchange(trainer):
    """Record the fraction of gradients still missing when each bucket's exchange starts.

    The list that is returned always holds the fractions of the latest step.
    """
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

    weights, ready, missing = list(trainer.net.parameters()), [], []
    for weight in weights:
        weight.register_post_accumulate_grad_hook(ready.append)

    def begin(module, inputs):
        ready.clear(), missing.clear()

    def exchange(group, bucket):
        missing.append(1 - len(ready) / len(weights))
        return allreduce_hook(group, bucket)

    trainer.net.register_forward_pre_hook(begin)
    trainer._shared.register_comm_hook(None, exchange)
    return missing


def main():
    options = measuring.parser(__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from gluonvision import backend

    times, missing = backend.launch(step_times, options.rounds, 2)
    ours, alone = times["ours"], times[PEER]
    exchange = statistics.median(times["exchange"])
    work = f"FCN-ResNet18, 2 processes x {BATCH} x {SIDE} x {SIDE}, gloo"
    row = measuring.time_row(work, "time of a step", ours, PEER, alone)
    row["exchange alone, ms"] = exchange
    row["fraction of gradients missing at its start"] = missing[0]
    measuring.save("ddp", [row], options)


if __name__ == "__main__":
    main()
