"""Prepare Cityscapes from archives that you downloaded with a login.

python cityscapes.py
python cityscapes.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["cityscapes", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
