"""What is done with scores coarser than the images, as a model's heads give them."""

import importlib.util
import inspect

import torch

from gluonvision.backend.torch import functional
from gluonvision.backend.torch.block import HybridBlock
from gluonvision.backend.torch.fused_loss import fused_log_probability
from gluonvision.backend.torch.parameters import unwrapped
from gluonvision.backend.torch.upsampled_argmax import upsampled_argmax

_HAS_TRITON = importlib.util.find_spec("triton") is not None


def gives_coarse_scores(net) -> bool:
    """Whether ``net(x, coarse=True)`` gives the scores before they are resized to the images.

    Those of ``model_zoo.SegBaseModel`` do, unless a class made from it goes a way of its own.
    """
    kind = type(unwrapped(net))
    if not issubclass(kind, HybridBlock) or kind.forward is not HybridBlock.forward:
        return False
    return "coarse" in inspect.signature(kind.hybrid_forward).parameters


def label_log_probability(F, scores, label, align_corners):
    """log softmax(scores) at each pixel's label, (N, H, W); of class 0 where that is ignored.

    ``scores`` (N, nclass, h, w), in float32 or wider; ``label`` (N, H, W). Coarser scores are
    resized bilinearly; on a CPU, and on CUDA with Triton, without holding the result.
    """
    if _is_coarser(scores, label) and _can_fuse(scores):
        return fused_log_probability(scores, label, align_corners)
    scores = at_label_size(F, scores, label, align_corners)
    return functional.pick(scores.log_softmax(1), label.relu(), 1)


def at_label_size(F, scores, label, align_corners):
    """The scores (N, nclass, h, w), bilinearly resized to the label's (N, H, W) if coarser.

    ValueError for scores finer than the labels.
    """
    if not _is_coarser(scores, label):
        return scores
    height, width = label.shape[1:]
    return F.contrib.BilinearResize2D(
        scores, height=height, width=width, align_corners=align_corners
    )


def classes_at(scores, size, align_corners):
    """The first class with the largest resized score, int32 (N, H, W), but for rounding."""
    if not _can_fuse(scores):
        height, width = size
        full = functional.contrib.BilinearResize2D(
            scores, height=height, width=width, align_corners=align_corners
        )
        return full.argmax(1).int()
    if scores.is_cuda:
        from gluonvision.backend.torch import triton_kernels

        return triton_kernels.upsampled_argmax(scores, size, align_corners)
    return upsampled_argmax(scores, size, align_corners)


def _is_coarser(scores, label):
    coarse, full = scores.shape[2:], label.shape[1:]
    if any(own > size for own, size in zip(coarse, full)):
        raise ValueError(
            f"scores {tuple(scores.shape)} are finer than the label {tuple(label.shape)}: expected "
            "(N, nclass, h, w) and (N, H, W), h to H and w to W at most; resize one of them"
        )
    return coarse != full


def _can_fuse(scores):
    if scores.device.type == "cpu":
        return True
    return scores.is_cuda and _HAS_TRITON and scores.dtype != torch.float64
