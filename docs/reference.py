"""Write the pages of the API reference, with every public name of every module in ``PAGES``."""

import importlib
import inspect
from pathlib import Path
from types import ModuleType

# The modules of each page. A name that several modules export is documented at the first one.
PAGES = {
    "gluonvision": ("gluonvision",),
    "segmentation": ("gluonvision.segmentation",),
    "model_zoo": (
        "gluonvision.model_zoo",
        "gluonvision.model_zoo.backbones",
        "gluonvision.model_zoo.weights.store",
        "gluonvision.model_zoo.weights.table",
    ),
    "data": (
        "gluonvision.data",
        "gluonvision.data.meta",
        "gluonvision.data.datasets.base",
        "gluonvision.data.datasets.published",
        "gluonvision.data.datasets.synthetic",
        "gluonvision.data.class_weights",
        "gluonvision.data.transforms.augment",
        "gluonvision.data.transforms.photometric",
        "gluonvision.data.download.prepare",
    ),
    "doctor": ("gluonvision.doctor", "gluonvision.doctor.report", "gluonvision.doctor.facts"),
    "loss": ("gluonvision.loss", "gluonvision.loss.pixels", "gluonvision.loss.regions"),
    "metrics": ("gluonvision.metrics",),
    "training": (
        "gluonvision.training.loop",
        "gluonvision.training.job",
        "gluonvision.training.stopping",
        "gluonvision.training.lr_schedule",
        "gluonvision.runs.config",
        "gluonvision.runs.start",
        "gluonvision.runs.artifacts",
        "gluonvision.runs.checkpoint",
        "gluonvision.runs.run_log",
        "gluonvision.runs.environment",
    ),
    "prediction": (
        "gluonvision.prediction.predictor",
        "gluonvision.prediction.inference",
        "gluonvision.prediction.large_images",
    ),
    "evaluation": ("gluonvision.evaluation.whole_images", "gluonvision.evaluation.job"),
    "deployment": ("gluonvision.deployment.export", "gluonvision.deployment.benchmark"),
    "plots": (
        "gluonvision.plots.masks",
        "gluonvision.plots.training_curves",
        "gluonvision.plots.prediction_grid",
        "gluonvision.plots.confusion_matrix",
    ),
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
        "gluonvision.utils.download",
    ),
}


def find_module(name: str) -> ModuleType:
    """Import a module, or find an object that acts as one, such as ``gluonvision.backend.nn``."""
    if "." not in name:
        return importlib.import_module(name)
    parent, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(parent), last, None)
    return found if inspect.ismodule(found) else importlib.import_module(name)


def public_names(module: ModuleType) -> list[str]:
    """List a module's ``__all__``; without one, the names it defines without an underscore."""
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
    documented: dict[tuple[str, int], str] = {}
    for page, modules in PAGES.items():
        lines = "=" + "-" * (len(modules) - 1)  # the first heading is the page's title
        sections = [_section(name, line, documented) for name, line in zip(modules, lines)]
        write_if_new(folder / f"{page}.rst", "\n\n".join(sections) + "\n")


def write_if_new(path: Path, text: str) -> None:
    """Write a file unless it has this text already, because Sphinx rebuilds changed files."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _section(name, line, documented):
    """Document one module; ``documented`` maps names of earlier modules to their full names."""
    module = find_module(name)
    heading = f"{name}\n{line * len(name)}\n\n{inspect.cleandoc(module.__doc__ or '')}"
    entries, links = [], []
    for each in public_names(module):
        value = getattr(module, each)
        if inspect.ismodule(value):
            continue
        key = (each, id(value))
        if callable(value) and key in documented:
            links.append(f":py:obj:`{each} <{documented[key]}>`")
            continue
        documented[key] = f"{name}.{each}"
        entries.append(_directive(f"{name}.{each}", value))
    also = [f"Also here: {', '.join(links)}."] if links else []
    return "\n\n".join([heading, *also, *entries])


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
