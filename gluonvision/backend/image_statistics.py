"""ImageNet's mean and standard deviation of each channel (RGB), in the units of 0-255 pixels."""

MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
