"""Losses of semantic segmentation, on the vocabulary."""

from collections.abc import Sequence

from gluonvision.loss.base import IGNORED, CombinedLoss, SegmentationLoss
from gluonvision.loss.pixels import FocalLoss, OHEMCrossEntropyLoss, SoftmaxCrossEntropyLoss
from gluonvision.loss.regions import DiceLoss, LovaszSoftmaxLoss

_LOSSES = {
    "ce": SoftmaxCrossEntropyLoss,
    "ohem": OHEMCrossEntropyLoss,
    "dice": DiceLoss,
    "lovasz": LovaszSoftmaxLoss,
    "focal": FocalLoss,
}
_WEIGHTED = ("ce", "ohem", "focal")

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
    """A loss by its name on the command line, or the sum of several: 'ce', 'ce+lovasz'.

    Names: ce, ohem, dice, lovasz, focal. ``class_weights`` go to those that take them: ce, ohem,
    focal. ``align_corners``: the model's, where logits come coarser than the labels. Raises
    ValueError for a name that there is not, and for weights that none takes.
    """
    names = name.split("+")
    if unknown := [n for n in names if n not in _LOSSES]:
        raise ValueError(
            f"loss {name!r}: there is no {unknown[0]!r}; expected one of {', '.join(_LOSSES)}, or "
            "several joined by '+'"
        )
    if class_weights is not None and not set(names) & set(_WEIGHTED):
        raise ValueError(
            f"loss {name!r} takes no class weights; {', '.join(_WEIGHTED)} do: leave the weights "
            f"out, or add one of these, as in 'ce+{name}'"
        )
    losses = [_make(n, aux_weight, class_weights) for n in names]
    for loss in losses:
        loss.align_corners = align_corners
    return losses[0] if len(losses) == 1 else CombinedLoss(*losses)


def _make(name, aux_weight, class_weights):
    options = {"class_weights": class_weights} if name in _WEIGHTED else {}
    return _LOSSES[name](aux_weight=aux_weight, **options)
