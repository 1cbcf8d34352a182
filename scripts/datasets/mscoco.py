"""Prepare COCO 2017.

python mscoco.py
python mscoco.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["mscoco", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
