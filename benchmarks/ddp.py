"""What training on two processes costs over training on one: DistributedDataParallel on CPUs.

    python benchmarks/ddp.py

Each process makes steps of FCN on ResNet18 on a batch of its own, on one thread; the gradients are
exchanged by gloo. Compared are a step with the exchange and one without it (``no_sync``), in the
same processes and the same run, and the exchange by itself. That it goes on during the backward
pass is seen from what is left to do when its first part begins: the share of the parameters whose
gradients are not there yet. What it hides by that depends on cores that have nothing else to do.
"""

import os
import statistics
import time

import measuring

PEER = "the same step, gradients not exchanged"
SIDE, BATCH = 96, 2


def step_times(rounds):
    """Milliseconds of a step with the exchange, of one without, and of the exchange alone."""
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

    to_come = _watched(trainer)
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
    return times, to_come


def _watched(trainer):
    """A list, of the last exchange, of the shares of gradients that miss when its parts begin."""
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

    weights, ready, to_come = list(trainer.net.parameters()), [], []
    for weight in weights:
        weight.register_post_accumulate_grad_hook(ready.append)

    def begin(module, inputs):
        ready.clear(), to_come.clear()

    def exchange(group, bucket):
        to_come.append(1 - len(ready) / len(weights))
        return allreduce_hook(group, bucket)

    trainer.net.register_forward_pre_hook(begin)
    trainer._shared.register_comm_hook(None, exchange)
    return to_come


def main():
    options = measuring.parser(__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from gluonvision import backend

    times, to_come = backend.launch(step_times, options.rounds, 2)
    ours, alone = times["ours"], times[PEER]
    exchange = statistics.median(times["exchange"])
    work = f"FCN-ResNet18, 2 processes x {BATCH} x {SIDE} x {SIDE}, gloo"
    row = measuring.time_row(work, "time of a step", ours, PEER, alone)
    row["exchange alone, ms"] = exchange
    row["gradients to come when it begins"] = to_come[0]
    measuring.save("ddp", [row], options)


if __name__ == "__main__":
    main()
