"""Segment a photograph: its palette mask and an overlay, beside what was found.

python demo.py example.jpg
python demo.py example.jpg --resume runs/pascal_voc/fcn/mycheckpoint/checkpoint.params
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    sys.exit(run_command("demo"))
