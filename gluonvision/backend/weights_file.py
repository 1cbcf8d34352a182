"""Read a weights file of any known format into NumPy arrays, without running code from it."""

import importlib.util
import os
import re
from typing import Any

import numpy as np

from gluonvision.backend import parameters_file

# A file of torch.save starts as a zip, or as a bare pickle before torch 1.6.
_TORCH_STARTS = (b"PK\x03\x04", b"\x80")
# Training scripts store the weights under one of these keys, next to other things.
_WRAPPERS = ("state_dict", "model", "model_state", "net")


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read a ``.params``, ``.safetensors`` or torch (``.pth``, ``.pt``) file.

    The content decides the format; the file's name does not matter. A torch file is read with
    ``weights_only=True``.

    Returns:
        The arrays by name.

    Raises:
        ValueError: if the file is damaged, has another format, or holds more than weights.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # after the length of the header
        return _read_safetensors(path)
    if head.startswith(_TORCH_STARTS):
        return _read_torch(path)
    return parameters_file.load(path)


def _read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    # Use torch where it is installed: it has bfloat16, which NumPy lacks.
    framework = "pt" if importlib.util.find_spec("torch") else "np"
    try:
        with safe_open(path, framework) as file:
            return {name: _as_array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # or a type that NumPy lacks
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path: str | os.PathLike) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{path} is a torch file: install torch to read it") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged or hostile file
        raise ValueError(
            f"{path} is not a torch file that holds only weights: {_reason(error)}. No code in it "
            "was run. Expected a file that torch.save(net.state_dict(), path) wrote"
        ) from error
    try:
        return {name: _as_array(tensor) for name, tensor in _state_dict(content, path).items()}
    except (
        TypeError,
        RuntimeError,
    ) as error:  # sparse or quantized tensors, or tensors without data
        raise ValueError(f"{path} holds more than plain tensors: {error}") from error


def _reason(error: Exception) -> str:
    """Return torch's message without its advice to load the file in a way that runs code."""
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    if forbidden:
        return f"it needs {forbidden[1]}"
    return re.split(r"\. |\n", str(error))[0]


def _state_dict(content: Any, path: str | os.PathLike) -> dict[str, Any]:
    import torch

    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds {type(content).__name__}, expected a state_dict")
    strange = [
        name
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, torch.Tensor)
    ]
    if strange:
        raise ValueError(f"{path} is not a state_dict: {strange[:3]} are not names with tensors")
    return content


def _as_array(tensor: Any) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    import torch

    tensor = tensor.detach()
    is_narrow = tensor.is_floating_point() and tensor.element_size() < 4
    if is_narrow and tensor.dtype is not torch.float16:  # NumPy lacks bfloat16 and float8
        tensor = tensor.float()
    return tensor.numpy()
