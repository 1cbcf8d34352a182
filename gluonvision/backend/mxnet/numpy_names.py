"""Names that MXNet 1.9.1 takes from NumPy and that newer versions of NumPy lack.

MXNet was released for NumPy 1.20. NumPy removed ``np.bool`` and similar names in 1.24, and others
in 2.0. Missing names must be added before MXNet is imported; existing ones are never replaced.
"""

import functools
from typing import Any

import numpy as np

_REMOVED_IN_1_24 = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "object": object,
    "str": str,
}
_REMOVED_SINCE_2_0 = {
    "PZERO": 0.0,
    "NZERO": -0.0,
    "Inf": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "NAN": np.nan,
    "NaN": np.nan,
    "alltrue": np.all,
    "sometrue": np.any,
    "product": np.prod,
    "round_": np.round,
    "msort": functools.partial(np.sort, axis=0),
    "in1d": lambda ar1, ar2, **options: np.isin(np.ravel(ar1), ar2, **options),
    "trapz": getattr(np, "trapezoid", None),  # its name since 2.0
}
_FINANCIAL = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")


def _moved_out(*args: Any, **kwargs: Any) -> None:
    """Raise the error that NumPy 1.20 to 1.26 raised for its former financial functions."""
    raise RuntimeError("NumPy's financial functions are in the package numpy-financial")


def supply() -> None:
    """Add the names to NumPy that MXNet needs and NumPy has removed."""
    financial = dict.fromkeys(_FINANCIAL, _moved_out)
    for name, value in (_REMOVED_IN_1_24 | _REMOVED_SINCE_2_0 | financial).items():
        if name not in vars(np):
            setattr(np, name, value)
