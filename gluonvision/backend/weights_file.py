"""Read a file of weights of any known kind into named NumPy arrays; nothing in it is executed."""

from pathlib import Path

import numpy as np

from gluonvision.backend import parameters_file

_SAFETENSORS = (".safetensors",)
_TORCH = (".pth", ".pt", ".bin", ".ckpt")
# Where training scripts put the weights among other things.
_WRAPPERS = ("state_dict", "model", "model_state", "net")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.params``, ``.safetensors`` or torch (``.pth``, ``.pt``) file, by name.

    A torch file is read with ``weights_only=True``; a file that holds more than tensors, or is of
    another kind, is a ValueError.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _SAFETENSORS:
        return _read_safetensors(path)
    if suffix in _TORCH:
        return _read_torch(path)
    return parameters_file.load(path)


def _read_safetensors(path):
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path):
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{path} is a file of torch; reading it needs torch installed") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises a dozen types for a damaged or hostile file
        raise ValueError(f"{path} is not a torch file of weights alone: {error}") from error
    return {name: _as_array(tensor) for name, tensor in _state_dict(content, path).items()}


def _state_dict(content, path):
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds {type(content).__name__}, expected a state_dict")
    strange = [name for name, value in content.items() if not hasattr(value, "detach")]
    if strange:
        raise ValueError(f"{path} is no state_dict: {strange[:3]} are not tensors")
    return content


def _as_array(tensor):
    import torch

    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
