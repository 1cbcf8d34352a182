"""Bilinear resize by its definition, in NumPy and float64."""

import numpy as np


def interpolation_matrix(input_size, output_size, align_corners):
    """(output_size, input_size): a row has the weights of the inputs at one output position."""
    matrix = np.zeros((output_size, input_size))
    for position in range(output_size):
        if align_corners:
            place = position * (input_size - 1) / max(output_size - 1, 1)
        else:
            place = (position + 0.5) * input_size / output_size - 0.5
        place = min(max(place, 0), input_size - 1)
        lower = int(place)
        matrix[position, lower] += 1 - (place - lower)
        if place > lower:
            matrix[position, lower + 1] += place - lower
    return matrix


def matrices(scores, size, align_corners):
    """Of rows and columns."""
    return [
        interpolation_matrix(own, full, align_corners) for own, full in zip(scores.shape[2:], size)
    ]


def resize(scores, size, align_corners):
    """(N, C, h, w) to (N, C, H, W)."""
    rows, columns = matrices(scores, size, align_corners)
    return rows @ scores.astype("float64") @ columns.T


def resize_gradient(gradient, scores, size, align_corners):
    """What the gradient of the resized scores is for the scores."""
    rows, columns = matrices(scores, size, align_corners)
    return rows.T @ gradient @ columns
