"""The documentation: its code is run and its commands exist, its reference leaves nothing out."""

import argparse
import importlib
import inspect
import os
import pkgutil
import re
import shlex
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gluonvision
from gluonvision.model_zoo import list_models
from gluonvision.model_zoo.segmentation.families import check_names
from gluonvision.model_zoo.weights.store import get_weights, list_weights
from gluonvision.runs.command_line import add_arguments, parse

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.append(str(DOCS))

import draw_augmentation  # noqa: E402
import reference  # noqa: E402
import run_blocks  # noqa: E402
import zoo  # noqa: E402

PAGES = sorted(DOCS.glob("*.md"))
# The options of a training command, in a block of bash.
TRAINING = re.compile(r"^(?!\s*#).*(?:segmentation/main\.py|gluonvision train)\b(.*)", re.MULTILINE)
GOOD = """
<!--
```python
value = 20
```
-->
```python
value += 1
```
```bash
ls scripts/segmentation/main.py "$GLUONVISION_DATA/voc/VOCdevkit"
```
<!-- run: never, it is wrong -->
```python
raise SystemExit("run")
```
```
no language: not code
```
"""


@pytest.fixture(autouse=True)
def same_environment():
    """A page's folder is named by variables of this process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def write(folder, text):
    page = folder / "page.md"
    page.write_text(text)
    return page


@pytest.mark.posix
def test_what_is_hidden_is_run_and_what_must_not_be_is_not(tmp_path):
    check = "```python\nassert value == 21\n```\n"
    other = (
        "<!-- run: mxnet -->\n```python\nvalue = 0\n```\n<!-- run: mxnet\n```bash\nno\n```\n-->\n"
    )
    assert run_blocks.run_page(write(tmp_path, GOOD + other + check)) == 4


@pytest.mark.posix
@pytest.mark.parametrize(
    ("block", "kind", "told"),
    [
        ("```python\nx = 1\n1 / 0\n```", ZeroDivisionError, 'page.md", line 5'),
        ("```bash\ntrue\nls nothing-here\ntrue\n```", RuntimeError, "nothing-here"),
    ],
)
def test_a_block_that_fails_ends_it_and_tells_where(tmp_path, block, kind, told):
    with pytest.raises(kind) as raised:
        run_blocks.run_page(write(tmp_path, f"# Page\n\n{block}\n"))
    text = "".join(traceback.format_exception(raised.value))
    assert told in text and "page.md:4, under torch" in text


def test_a_block_cannot_be_left_out_without_a_reason(tmp_path):
    with pytest.raises(ValueError, match="'never, REASON'"):
        run_blocks.run_page(write(tmp_path, "<!-- run: never -->\n```python\n```\n"))


@pytest.mark.posix
def test_the_code_of_two_pages_runs():
    assert [run_blocks.run_page(DOCS / page) for page in ("losses.md", "add_dataset.md")] == [4, 4]


def test_a_training_is_made_small():
    code = "A=1 python scripts/segmentation/main.py --backbone resnet101_v1s \\\n    --lr 1\nls\n"
    first, second = run_blocks.small(code).splitlines()
    assert "--backbone resnet18_v1s" in first and first.endswith(run_blocks.SMALL)
    assert second == "ls"


def trainings():
    """The options of every training on every page, also of those that are not run."""
    for page in PAGES:
        for block in run_blocks.blocks(page.read_text()):
            code = block.code.replace("\\\n", " ") if block.kind == "bash" else ""
            for line in TRAINING.findall(code):
                yield pytest.param(shlex.split(line, comments=True), id=f"{page.name}:{block.line}")


@pytest.mark.parametrize("options", trainings())
def test_the_trainings_that_pages_show_have_options_that_there_are(options):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    options = [o.replace("recipes/", f"{DOCS.parent}/recipes/") for o in options]
    if "my.yaml" not in options:
        config = parse(parser, options)
        check_names(config.model, config.backbone)


def test_the_reference_has_every_package():
    listed = {name for modules in reference.PAGES.values() for name in modules}
    modules = pkgutil.walk_packages(gluonvision.__path__, "gluonvision.")
    for module in modules:
        # Backends are told as what they stand for; commands are told by their help.
        if re.match(r"gluonvision\.(backend\.(torch|mxnet)|commands|__main__)", module.name):
            continue
        if hasattr(importlib.import_module(module.name), "__all__"):
            assert module.name in listed, f"add {module.name} to PAGES in docs/reference.py"


def test_the_reference_has_every_name(tmp_path):
    reference.write_pages(tmp_path)
    text = "".join(page.read_text() for page in tmp_path.iterdir())
    told = set(re.findall(r"^\.\. (?:auto|py:)\w+:: \S+\.(\w+)$", text, re.MULTILINE))
    for names in reference.PAGES.values():
        for name in names:
            module = reference.find_module(name)
            listed = reference.public_names(module)
            missing = {n for n in listed if not inspect.ismodule(getattr(module, n))} - told
            assert not missing, f"{name}: {missing}"


def test_the_zoo_has_every_model_and_every_hash(monkeypatch):
    monkeypatch.setattr(zoo, "cost", lambda name, side: (0, 0))
    tables = zoo.tables()
    for name in list_models():
        assert f"| `{name}` |" in tables
    for name in list_weights():
        for weights in get_weights(name):
            assert weights.file in tables
            assert weights.checksum is None or weights.checksum.split(":")[1] in tables


def test_what_a_model_costs_is_what_torchvision_prints():
    parameters, multiply_adds = zoo.cost("mobilenet_v2", 224)
    assert parameters == 3_504_872
    assert round(multiply_adds / 1e9, 1) == 0.3


def test_the_files_that_pages_name_are_there():
    named = r"`((?:docs|tests|recipes|gluonvision|scripts)/[\w./]+\.\w+)`"
    for page in PAGES:
        for path in re.findall(named, page.read_text()):
            assert "NAME" in path or (DOCS.parent / path).exists(), f"{page.name}: {path}"


def test_the_augmentation_is_drawn_of_photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["draw_augmentation.py", "--output", str(tmp_path)])
    draw_augmentation.main()
    drawn, shown = (
        Image.open(folder / "augmentation.png") for folder in (tmp_path, DOCS / "images")
    )
    assert drawn.size == shown.size
    cell, gap = draw_augmentation.CELL, draw_augmentation.GAP
    for row, name in ((0, "car.jpg"), (2, "camera.jpg")):
        photograph = Image.open(draw_augmentation.EXAMPLES / name).convert("RGB")
        photograph.thumbnail((cell, cell), Image.LANCZOS)
        top = gap + row * (cell + gap)
        for picture in (drawn, shown):
            first = picture.crop((gap, top, gap + cell, top + cell))
            assert np.abs(np.subtract(first, photograph, dtype=float)).mean() < 1
    for folder in (tmp_path, DOCS / "images"):
        with Image.open(folder / "augmentation.gif") as moving:
            assert moving.n_frames == draw_augmentation.FRAMES
