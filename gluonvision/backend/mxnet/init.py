"""The initializers of the vocabulary as MXNet initializers, drawn in NumPy."""

import mxnet as mx

from gluonvision.backend import initializer

__all__ = ["Constant", "MSRAPrelu", "Normal", "One", "Uniform", "Xavier", "Zero", "wrap"]


class _Adapter(mx.init.Initializer):
    """Hands MXNet what a NumPy initializer draws for ``name`` (default: MXNet's own name)."""

    def __init__(self, drawer, name=None, streams=None):
        super().__init__()
        self.drawer, self.name, self.streams = drawer, name, streams

    def _init_weight(self, name, arr):
        if self.streams is None:
            self.streams = initializer.Streams()
        structural = self.name or f"{name}.weight"
        arr[:] = self.drawer(structural, arr.shape, self.streams(structural))

    def dumps(self):
        """MXNet compares and logs initializers by this text."""
        return f"{type(self.drawer).__name__}({vars(self.drawer)})"


def wrap(drawer, name: str, streams) -> mx.init.Initializer:
    """The MXNet initializer of the one parameter with the structural name ``name``."""
    return _Adapter(getattr(drawer, "drawer", drawer), name, streams)


def _adapted(numpy_class):
    def __init__(self, *args, **kwargs):
        _Adapter.__init__(self, numpy_class(*args, **kwargs))

    return type(
        numpy_class.__name__, (_Adapter,), {"__init__": __init__, "__doc__": numpy_class.__doc__}
    )


Constant = _adapted(initializer.Constant)
MSRAPrelu = _adapted(initializer.MSRAPrelu)
Normal = _adapted(initializer.Normal)
One = _adapted(initializer.One)
Uniform = _adapted(initializer.Uniform)
Xavier = _adapted(initializer.Xavier)
Zero = _adapted(initializer.Zero)
