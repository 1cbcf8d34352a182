"""Train a segmentation model; with --eval or --test, evaluate its weights instead.

python main.py --dataset pascal_voc --model fcn --backbone resnet50 --checkname mycheckpoint
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    sys.exit(run_command("train"))
