"""Prepare Pascal VOC 2012 and the Semantic Boundaries Dataset.

python pascal_aug.py
python pascal_aug.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["pascal_aug", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
