"""Train, evaluate or test a segmentation model.

python main.py --dataset pascal_voc --model fcn --backbone resnet50 --checkname mycheckpoint
"""

import sys

from gluonvision.data.loader import SampleError
from gluonvision.segmentation.assess import assess, write_masks
from gluonvision.segmentation.command_line import parse_arguments
from gluonvision.segmentation.stopping import Interrupted
from gluonvision.segmentation.train import train
from gluonvision.utils.workers import WorkerError


def run(config):
    if config.eval:
        assess(config)
    elif config.test:
        print(f"masks: {write_masks(config)}")
    else:
        print(f"weights: {train(config)}")


def main():
    config = parse_arguments(__doc__.splitlines()[0])
    try:
        run(config)
    except (ValueError, OSError, ArithmeticError, SampleError, WorkerError) as error:
        sys.exit(f"error: {error}")
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(128 + stopped.signal)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {config.folder} has the last state that was saved, if any")


if __name__ == "__main__":
    main()
