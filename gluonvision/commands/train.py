"""Train a segmentation model; with --eval or --test, evaluate its weights instead."""

import sys

from gluonvision.evaluation.job import evaluate_config, write_masks
from gluonvision.runs.command_line import add_arguments, parse
from gluonvision.runs.config import TrainConfig
from gluonvision.training.loop import train
from gluonvision.training.stopping import Interrupted

__all__ = ["add_arguments", "parse", "run"]


def run(config: TrainConfig) -> int:
    """Run the configuration; return the exit code, 128 plus the signal's number after a signal."""
    try:
        _run(config)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    return 0


def _run(config: TrainConfig) -> None:
    if config.eval:
        evaluate_config(config)
    elif config.test:
        print(f"masks: {write_masks(config)}")
    else:
        print(f"weights: {train(config)}")
