"""Losses for semantic segmentation, written in the vocabulary."""

from collections.abc import Sequence

from gluonvision.loss.base import IGNORED, CombinedLoss, SegmentationLoss
from gluonvision.loss.pixels import (
    FocalLoss,
    OHEMCrossEntropyLoss,
    PixelLoss,
    SoftmaxCrossEntropyLoss,
)
from gluonvision.loss.regions import DiceLoss, LovaszSoftmaxLoss

_LOSSES = {
    "ce": SoftmaxCrossEntropyLoss,
    "ohem": OHEMCrossEntropyLoss,
    "dice": DiceLoss,
    "lovasz": LovaszSoftmaxLoss,
    "focal": FocalLoss,
}
_WEIGHTED = tuple(name for name, loss in _LOSSES.items() if issubclass(loss, PixelLoss))

__all__ = [
    "IGNORED",
    "CombinedLoss",
    "DiceLoss",
    "FocalLoss",
    "LovaszSoftmaxLoss",
    "OHEMCrossEntropyLoss",
    "SegmentationLoss",
    "SoftmaxCrossEntropyLoss",
    "get_loss",
]


def get_loss(
    name: str,
    aux_weight: float = 0.4,
    class_weights: Sequence[float] | None = None,
    align_corners: bool = True,
) -> SegmentationLoss:
    """Build a loss by its name on the command line, or the sum of several: 'ce', 'ce+lovasz'.

    Args:
        name: one of ce, ohem, dice, lovasz and focal, or several joined by '+'.
        aux_weight: weight of the auxiliary head's loss.
        class_weights: a weight of 0 or more for each class, for ce, ohem and focal.
        align_corners: how to resize logits that are coarser than the labels; use the model's.

    Raises:
        ValueError: for an unknown name, or if none of the losses takes class weights.
    """
    names = name.split("+")
    if unknown := [n for n in names if n not in _LOSSES]:
        raise ValueError(
            f"loss {name!r}: unknown loss {unknown[0]!r}; expected one of {', '.join(_LOSSES)}, or "
            "several joined by '+'"
        )
    if class_weights is not None and not set(names) & set(_WEIGHTED):
        raise ValueError(
            f"loss {name!r} takes no class weights; {', '.join(_WEIGHTED)} do. Leave the weights "
            f"out, or add one of these, as in 'ce+{name}'"
        )
    losses = [_build(n, aux_weight, class_weights) for n in names]
    for loss in losses:
        loss.align_corners = align_corners
    return losses[0] if len(losses) == 1 else CombinedLoss(*losses)


def _build(name: str, aux_weight: float, class_weights: Sequence[float] | None) -> SegmentationLoss:
    options = {"class_weights": class_weights} if name in _WEIGHTED else {}
    return _LOSSES[name](aux_weight=aux_weight, **options)
