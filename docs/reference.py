"""Write the pages of the API reference: every public name of every module in ``PAGES``."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

# Page: its modules. A name that several of them export is told at the first.
PAGES = {
    "model_zoo": (
        "gluonvision.model_zoo",
        "gluonvision.model_zoo.backbones",
        "gluonvision.model_zoo.weights.store",
        "gluonvision.model_zoo.weights.table",
    ),
    "segmentation": (
        "gluonvision.segmentation",
        "gluonvision.prediction.inference",
        "gluonvision.runs.artifacts",
        "gluonvision.runs.checkpoint",
        "gluonvision.runs.run_log",
        "gluonvision.plots.training_curves",
        "gluonvision.plots.prediction_grid",
        "gluonvision.runs.environment",
    ),
    "data": (
        "gluonvision.data",
        "gluonvision.data.meta",
        "gluonvision.data.datasets.base",
        "gluonvision.data.datasets.published",
        "gluonvision.data.transforms.augment",
        "gluonvision.data.transforms.photometric",
        "gluonvision.data.class_weights",
        "gluonvision.doctor",
        "gluonvision.doctor.report",
        "gluonvision.doctor.facts",
        "gluonvision.data.datasets.synthetic",
    ),
    "loss": ("gluonvision.loss", "gluonvision.loss.pixels", "gluonvision.loss.regions"),
    "metrics": ("gluonvision.metrics",),
    "nn": ("gluonvision.nn",),
    "backend": (
        "gluonvision.backend",
        "gluonvision.backend.nn",
        "gluonvision.backend.F",
        "gluonvision.backend.init",
        "gluonvision.backend.profiling",
        "gluonvision.backend.trainer_options",
        "gluonvision.backend.parameters_file",
        "gluonvision.backend.weights_file",
    ),
    "web": ("gluonvision.web",),
    "utils": (
        "gluonvision.utils",
        "gluonvision.training.lr_schedule",
        "gluonvision.utils.download",
        "gluonvision.utils.worker_hooks",
    ),
}


def find_module(name: str) -> ModuleType:
    """A module, or what stands in a module's place in its package: ``gluonvision.backend.nn``."""
    parent, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(parent), last, None)
    return found if inspect.ismodule(found) else importlib.import_module(name)


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: its ``__all__``, else what it defines without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = [name for name, value in vars(module).items() if _is_defined_in(module, value)]
    return [name for name in own if not name.startswith("_")]


def _is_defined_in(module, value):
    is_code = inspect.isclass(value) or inspect.isroutine(value)
    return is_code and getattr(value, "__module__", None) == module.__name__


def write_pages(folder: Path) -> None:
    """Write a page for each entry of ``PAGES``."""
    folder.mkdir(parents=True, exist_ok=True)
    told: set[tuple[str, int]] = set()
    for page, modules in PAGES.items():
        lines = "=" + "-" * (len(modules) - 1)  # the first is the page's own title
        parts = [_section(name, line, told) for name, line in zip(modules, lines)]
        write_if_new(folder / f"{page}.rst", "\n\n".join(parts) + "\n")


def write_if_new(path: Path, text: str) -> None:
    """Write a file unless it has that text: what is as it was need not be built again."""
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


def _section(name, line, told):
    module = find_module(name)
    heading = f"{name}\n{line * len(name)}\n\n{inspect.cleandoc(module.__doc__ or '')}"
    entries = []
    for each in public_names(module):
        value = getattr(module, each)
        if inspect.ismodule(value) or (callable(value) and (each, id(value)) in told):
            continue
        told.add((each, id(value)))
        entries.append(_directive(f"{name}.{each}", value))
    return "\n\n".join([heading, *entries])


def _directive(name, value):
    if inspect.isclass(value):
        bases = "" if value.__bases__ == (object,) else "\n   :show-inheritance:"
        return f".. autoclass:: {name}\n   :members:{bases}"
    if callable(value):
        return f".. autofunction:: {name}"
    return f".. py:data:: {name}\n   :value: {_short(value)}"


def _short(value):
    text = repr(value)
    return text if len(text) < 70 else f"{type(value).__name__} of {len(value)}"
