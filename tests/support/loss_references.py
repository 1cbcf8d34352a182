"""The losses in NumPy, float64, from their definitions: scores (N, nclass, H, W), label (N, H, W).

None uses the library's algorithm: region losses are computed with sets, pixel losses with lists.
"""

import numpy as np


def labelled_pixels(scores, label):
    """Probabilities (pixels, nclass) and labels (pixels,) of what is labelled."""
    rows, label = np.moveaxis(scores, 1, -1)[label != -1], label[label != -1].astype(int)
    odds = np.exp(rows - rows.max(1, keepdims=True, initial=-np.inf))
    return odds / odds.sum(1, keepdims=True), label


def log_probabilities(scores, label):
    """The logarithm of the probability of each labelled pixel's label, and the labels."""
    rows, label = np.moveaxis(scores, 1, -1)[label != -1], label[label != -1].astype(int)
    rows = rows - rows.max(1, keepdims=True, initial=-np.inf)
    return rows[np.arange(len(label)), label] - np.log(np.exp(rows).sum(1)), label


def ratio(total, count):
    return total / count if count else np.float64(0)


def cross_entropy(scores, label, class_weights=None):
    log_p, label = log_probabilities(scores, label)
    weights = np.ones(len(label)) if class_weights is None else np.array(class_weights)[label]
    return ratio(-(weights * log_p).sum(), weights.sum())


def focal(scores, label, class_weights=None, gamma=2.0):
    log_p, label = log_probabilities(scores, label)
    weights = np.ones(len(label)) if class_weights is None else np.array(class_weights)[label]
    return ratio(-(weights * (1 - np.exp(log_p)) ** gamma * log_p).sum(), len(label))


def ohem(scores, label, class_weights=None, threshold=0.7, min_kept=100000):
    """Pixel by pixel: kept is one below the threshold, or with fewer than min_kept below it."""
    log_p, label = log_probabilities(scores, label)
    weights = np.ones(len(label)) if class_weights is None else np.array(class_weights)[label]
    harder = np.array([(log_p < own).sum() for own in log_p])
    kept = (log_p <= np.log(threshold)) | (harder < min_kept)
    return ratio(-(weights * log_p)[kept].sum(), kept.sum())


def dice(scores, label, smooth=1.0):
    probabilities, label = labelled_pixels(scores, label)
    terms = []
    for c in np.unique(label):
        p, y = probabilities[:, c], (label == c).astype(float)
        terms.append(1 - (2 * (p * y).sum() + smooth) / (p.sum() + y.sum() + smooth))
    return np.mean(terms) if terms else np.float64(0)


def lovasz(scores, label):
    """The mean over the classes present of the Lovász extension of the Jaccard loss.

    By its definition as an integral (Choquet's): that of the loss of {pixels with error >= t}, over
    t from 0 to 1. Between two neighbouring errors the set is the same.
    """
    probabilities, label = labelled_pixels(scores, label)
    terms = []
    for c in np.unique(label):
        error = np.abs((label == c) - probabilities[:, c])
        levels = np.unique(np.append(error, 0))
        losses = [jaccard_loss(error >= level, label == c) for level in levels[1:]]
        terms.append((np.diff(levels) * losses).sum())
    return np.mean(terms) if terms else np.float64(0)


def jaccard_loss(wrong, members):
    """1 - IoU of a class whose pixels are ``members``, and where those ``wrong`` are mistaken."""
    predicted = members ^ wrong
    return 1 - (predicted & members).sum() / (predicted | members).sum()
