"""Augmentation: image and mask are transformed together."""
