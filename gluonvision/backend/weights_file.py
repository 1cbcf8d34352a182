"""Read a file of weights of any known kind into named NumPy arrays; nothing in it is executed."""

import importlib.util
import os
import re

import numpy as np

from gluonvision.backend import parameters_file

# How a file of torch.save begins: a zip, or a bare pickle before torch 1.6.
_TORCH_STARTS = (b"PK\x03\x04", b"\x80")
# Where training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model", "model_state", "net")


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a ``.params``, ``.safetensors`` or torch (``.pth``, ``.pt``) file, by name.

    The kind is told by the content, whatever the file is called. A torch file is read with
    ``weights_only=True``; one that holds more than weights, or a file that is damaged or of
    another kind, is a ValueError.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    if head[8:] == b"{":  # after the length of the header
        return _read_safetensors(path)
    if head.startswith(_TORCH_STARTS):
        return _read_torch(path)
    return parameters_file.load(path)


def _read_safetensors(path):
    from safetensors import SafetensorError, safe_open

    # Through torch where it is there: it has bfloat16, which NumPy lacks.
    framework = "pt" if importlib.util.find_spec("torch") else "np"
    try:
        with safe_open(path, framework) as file:
            return {name: _as_array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # a type that NumPy lacks
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{path} is a file of torch; reading it needs torch installed") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen types for a damaged or hostile file
        raise ValueError(
            f"{path} is not a torch file of weights alone: {_reason(error)}. Nothing in it was "
            "run; expected what torch.save(net.state_dict(), path) writes"
        ) from error
    try:
        return {name: _as_array(tensor) for name, tensor in _state_dict(content, path).items()}
    except (TypeError, RuntimeError) as error:  # sparse, quantized, without data
        raise ValueError(f"{path} holds more than plain tensors: {error}") from error


def _reason(error):
    """What torch says, less its advice to load the file in a way that runs it."""
    forbidden = re.search(r"GLOBAL (\S+)", str(error))
    if forbidden:
        return f"it asks for {forbidden[1]}"
    return re.split(r"\. |\n", str(error))[0]


def _state_dict(content, path):
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
        raise ValueError(f"{path} is no state_dict: {strange[:3]} are not names with tensors")
    return content


def _as_array(tensor):
    if isinstance(tensor, np.ndarray):
        return tensor
    import torch

    tensor = tensor.detach()
    is_narrow = tensor.is_floating_point() and tensor.element_size() < 4
    if is_narrow and tensor.dtype is not torch.float16:  # NumPy lacks bfloat16 and float8
        tensor = tensor.float()
    return tensor.numpy()
