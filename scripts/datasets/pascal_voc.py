"""Prepare Pascal VOC 2012.

python pascal_voc.py
python pascal_voc.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["pascal_voc", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
