"""Prepare CamVid, 11 classes, as SegNet prepared it.

python camvid.py
python camvid.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("camvid")
