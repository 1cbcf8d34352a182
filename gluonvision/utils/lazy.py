"""Import the names of a package when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package that imports its names on first use.

    Args:
        package: the package's ``__name__``.
        homes: the module that defines each public name. A module that ends in the name itself is
            a sub-package.

    Returns:
        The two functions, to be assigned in the package.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        module = importlib.import_module(home)
        return module if home == f"{package}.{name}" else getattr(module, name)

    def __dir__() -> list[str]:
        own = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*own, *homes})

    return __getattr__, __dir__
