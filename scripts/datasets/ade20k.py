"""Prepare ADE20K's SceneParsing benchmark.

python ade20k.py
python ade20k.py --root FOLDER --archive FILE
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    arguments = ["ade20k", *sys.argv[1:]]
    sys.exit(run_command("prepare", arguments, "python -m gluonvision prepare"))
