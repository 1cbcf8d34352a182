"""Prepare Cityscapes (from archives fetched with a login).

python cityscapes.py
python cityscapes.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("cityscapes")
