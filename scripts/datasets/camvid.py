"""Prepare CamVid, 11 classes, as SegNet prepared it.

python camvid.py
python camvid.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["camvid", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
