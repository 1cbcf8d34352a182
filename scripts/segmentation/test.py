"""Score a model on a data set and write a report, or write masks for a test server (--test).

python test.py --resume runs/pascal_voc/fcn/mycheckpoint/best.params --html
python test.py --model fcn_resnet101_voc --scales 0.5 0.75 1 1.25 1.5 1.75 --flip --window 480
"""

import sys

from gluonvision.__main__ import run_command

if __name__ == "__main__":
    sys.exit(run_command("eval"))
