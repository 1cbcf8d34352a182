"""The names that MXNet 1.9.1 takes from NumPy and that newer NumPy no longer has.

MXNet was released against NumPy 1.20; ``np.bool`` and its like went in 1.24, others in 2.0. The
missing ones are supplied before MXNet is imported; a name that exists is never replaced.
"""

import functools

import numpy as np

_DROPPED_IN_1_24 = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "object": object,
    "str": str,
}
_DROPPED_FROM_2_0_ON = {
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


def _moved_out(*args, **kwargs):
    """What NumPy 1.20 to 1.26 had under the names of its financial functions."""
    raise RuntimeError("NumPy's financial functions are in the package numpy-financial")


def supply():
    """Give NumPy the names it dropped and MXNet asks for."""
    financial = dict.fromkeys(_FINANCIAL, _moved_out)
    for name, value in (_DROPPED_IN_1_24 | _DROPPED_FROM_2_0_ON | financial).items():
        if name not in vars(np):
            setattr(np, name, value)
