"""Train a segmentation model.

python main.py --dataset pascal_voc --model fcn --backbone resnet50 --checkname mycheckpoint
"""

import sys

from gluonvision.data.loader import SampleError
from gluonvision.segmentation.config import parse_arguments
from gluonvision.segmentation.train import train


def main():
    config = parse_arguments(__doc__.splitlines()[0])
    try:
        train(config)
    except (ValueError, OSError, SampleError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted; {config.folder} has the weights of the last finished epoch, if any")


if __name__ == "__main__":
    main()
