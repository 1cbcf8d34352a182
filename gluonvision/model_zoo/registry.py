"""Models by name: a constructor's name is the name of its model."""

import difflib
import fnmatch
from collections.abc import Callable

_MODELS: dict[str, Callable] = {}


def register_model(constructor: Callable) -> Callable:
    """Make ``get_model(constructor.__name__)`` call the constructor."""
    name = constructor.__name__
    if name in _MODELS:
        raise ValueError(f"a model named {name!r} is registered already; choose another name")
    _MODELS[name] = constructor
    return constructor


def list_models(pattern: str = "*") -> list[str]:
    """The sorted names of all models, or of those that match a pattern such as 'fcn_*'."""
    return sorted(fnmatch.filter(_MODELS, pattern))


def describe_model(name: str) -> str:
    """What a model is, in a sentence: the first of its constructor's docstring."""
    return " ".join((_MODELS[name].__doc__ or name).split("\n\n")[0].split())


def get_model(
    name: str, pretrained: bool | str = False, pretrained_base: bool | str = False, **kwargs
):
    """Build a model by its name.

    ``pretrained=True`` loads its published weights, a string those of that file;
    ``pretrained_base=True`` those of a segmentation model's backbone alone. Other arguments go to
    the constructor (``nclass``, ``aux``, ``norm_layer``, ``ctx``, ``root`` ...). An unknown name is
    a ValueError.
    """
    constructor = _find(name)
    if pretrained_base:  # backbones have no base of their own
        kwargs["pretrained_base"] = pretrained_base
    return constructor(pretrained=pretrained, **kwargs)


def dataset_of(name: str) -> str:
    """The data set that a published model was trained on, and whose classes it has: its name.

    Raises ValueError for an unknown name and for models of no data set.
    """
    dataset = getattr(_find(name), "dataset", None)
    if dataset is None:
        raise ValueError(
            f"{name} is published for no data set of segmentation; those that are: "
            + ", ".join(n for n in list_models() if hasattr(_MODELS[n], "dataset"))
        )
    return dataset


def _find(name: str) -> Callable:
    constructor = _MODELS.get(name) or _MODELS.get(name.lower())
    if constructor is None:
        close = difflib.get_close_matches(name.lower(), _MODELS, n=3, cutoff=0.4)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(f"no model is named {name!r}.{hint} list_models() gives all names")
    return constructor
