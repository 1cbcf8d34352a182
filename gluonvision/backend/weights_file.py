"""Read a file of weights of any known kind into named NumPy arrays; nothing in it is executed."""

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
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, TypeError) as error:  # TypeError: a type that NumPy lacks
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
    return {name: _as_array(tensor) for name, tensor in _state_dict(content, path).items()}


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
    strange = [name for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise ValueError(f"{path} is no state_dict: {strange[:3]} are not tensors")
    return content


def _as_array(tensor):
    import torch

    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
