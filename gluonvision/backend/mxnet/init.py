"""The initializers of the vocabulary as MXNet initializers; NumPy draws the weights."""

from typing import Any

import mxnet as mx

from gluonvision.backend import initializer

__all__ = ["Constant", "MSRAPrelu", "Normal", "One", "Uniform", "Xavier", "Zero", "wrap"]


class _Adapter(mx.init.Initializer):
    """Gives MXNet the weights that a NumPy initializer draws.

    The random stream is that of ``name``, or of MXNet's name for the parameter if None.
    """

    def __init__(
        self,
        wrapped: initializer.Initializer,
        name: str | None = None,
        streams: initializer.Streams | None = None,
    ) -> None:
        super().__init__()
        self.wrapped, self.name, self.streams = wrapped, name, streams

    def _init_weight(self, name: str, arr: mx.nd.NDArray) -> None:
        if self.streams is None:
            self.streams = initializer.Streams()
        structural = self.name or f"{name}.weight"
        arr[:] = self.wrapped(structural, arr.shape, self.streams(structural))

    def dumps(self) -> str:
        """Describe the initializer; MXNet compares and logs initializers by this text."""
        return f"{type(self.wrapped).__name__}({vars(self.wrapped)})"


def wrap(source: Any, name: str, streams: initializer.Streams) -> mx.init.Initializer:
    """Return an MXNet initializer for the one parameter with this structural name.

    ``source`` is an initializer of this module or of ``backend.initializer``.
    """
    return _Adapter(getattr(source, "wrapped", source), name, streams)


def _adapted(numpy_class: type[initializer.Initializer]) -> Any:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
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
