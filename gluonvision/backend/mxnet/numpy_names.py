"""The names that MXNet 1.9.1 takes from NumPy and that newer NumPy no longer has.

MXNet was released against NumPy 1.20; ``np.bool`` and its like went in 1.24, others in 2.0. The
missing ones are supplied before MXNet is imported; a name that exists is never replaced.
"""

import numpy as np

_DROPPED_IN_1_24 = {
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "object": object,
    "str": str,
}
_DROPPED_IN_2_0 = {}


def supply():
    """Give NumPy the names it dropped and MXNet asks for."""
    for name, value in (_DROPPED_IN_1_24 | _DROPPED_IN_2_0).items():
        if name not in vars(np):
            setattr(np, name, value)
