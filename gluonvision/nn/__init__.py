"""Blocks that several models share."""

from gluonvision.nn.blocks import (
    FCNHead,
    classifier_block,
    conv_bn_relu,
    norm_relu,
    separable_conv_bn_relu,
)

__all__ = ["FCNHead", "classifier_block", "conv_bn_relu", "norm_relu", "separable_conv_bn_relu"]
