"""Models by name: the name of a constructor is the name of its model."""

import difflib
import fnmatch
import os
from collections.abc import Callable
from typing import Any

_MODELS: dict[str, Callable] = {}


def register_model(constructor: Callable) -> Callable:
    """Register a constructor under its own name for ``get_model``; use it as a decorator.

    Raises:
        ValueError: if the name is taken.
    """
    name = constructor.__name__
    if name in _MODELS:
        raise ValueError(f"a model named {name!r} is already registered; choose another name")
    _MODELS[name] = constructor
    return constructor


def list_models(pattern: str = "*") -> list[str]:
    """Return the sorted names of all models, or of those that match a pattern such as 'fcn_*'."""
    return sorted(fnmatch.filter(_MODELS, pattern))


def describe_model(name: str) -> str:
    """Describe a model by the first sentence of its constructor's docstring."""
    return " ".join((_MODELS[name].__doc__ or name).split("\n\n")[0].split())


def get_model(
    name: str,
    pretrained: bool | str | os.PathLike = False,
    pretrained_base: bool | str | os.PathLike = False,
    **kwargs: Any,
) -> Any:
    """Build a model by its name.

    Args:
        name: a name of ``list_models()``.
        pretrained: True loads the published weights of the model, a path loads that file.
        pretrained_base: the same, for only the backbone of a segmentation model.
        kwargs: other arguments of the constructor, such as ``nclass``, ``aux``, ``norm_layer``,
            ``ctx`` and ``root``.

    Raises:
        ValueError: if the name is unknown; the message suggests similar ones.
    """
    constructor = _find(name)
    if pretrained_base:  # a backbone's constructor has no such argument
        kwargs["pretrained_base"] = pretrained_base
    return constructor(pretrained=pretrained, **kwargs)


def dataset_of(name: str) -> str:
    """Return the name of the data set that a published model was trained on.

    Raises:
        ValueError: if the name is unknown, or is not a published segmentation model.
    """
    dataset = getattr(_find(name), "dataset", None)
    if dataset is None:
        raise ValueError(
            f"{name} is not a segmentation model published for a data set; these are: "
            + ", ".join(n for n in list_models() if hasattr(_MODELS[n], "dataset"))
        )
    return dataset


def _find(name: str) -> Callable:
    constructor = _MODELS.get(name) or _MODELS.get(name.lower())
    if constructor is None:
        close = difflib.get_close_matches(name.lower(), _MODELS, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"no model is named {name!r}.{hint} list_models() returns all names")
    return constructor
