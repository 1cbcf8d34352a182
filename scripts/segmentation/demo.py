"""Segment images and write their masks and overlays.

python demo.py example.jpg
python demo.py example.jpg --resume runs/pascal_voc/fcn/mycheckpoint/checkpoint.params
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    sys.exit(run_command("demo"))
