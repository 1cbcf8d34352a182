"""Train a segmentation model; with --eval or --test, see what its weights are worth."""

import sys

from gluonvision.evaluation.job import evaluate_config, write_masks
from gluonvision.runs.command_line import add_arguments, parse
from gluonvision.training.loop import train
from gluonvision.training.stopping import Interrupted

__all__ = ["add_arguments", "parse", "run"]


def run(config) -> int:
    """Do what the configuration says; the exit code, 128 and the signal's where one stopped it."""
    try:
        _run(config)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    return 0


def _run(config):
    if config.eval:
        evaluate_config(config)
    elif config.test:
        print(f"masks: {write_masks(config)}")
    else:
        print(f"weights: {train(config)}")
