"""Prepare Pascal VOC 2012.

python pascal_voc.py
python pascal_voc.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("pascal_voc")
