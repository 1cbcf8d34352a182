"""Prepare ADE20K's SceneParsing benchmark.

python ade20k.py
python ade20k.py --root FOLDER --archive FILE
"""

from gluonvision.data.prepare import main

if __name__ == "__main__":
    main("ade20k")
