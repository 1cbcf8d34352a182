"""The segmentation models, one paper a file."""
