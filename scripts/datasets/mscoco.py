"""Prepare COCO 2017.

python mscoco.py
python mscoco.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("mscoco")
