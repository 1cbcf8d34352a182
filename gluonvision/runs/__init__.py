"""A training run on disk: configuration, checkpoints, logs and weights."""
