"""Prepare Pascal VOC 2012 and the Semantic Boundaries Dataset.

python pascal_aug.py
python pascal_aug.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("pascal_aug")
