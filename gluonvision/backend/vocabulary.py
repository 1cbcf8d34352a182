"""The vocabulary: every name that both backends define, listed once."""

VOCABULARY = (
    # What models are written with.
    "HybridBlock",
    "nn",
    "F",
    "init",
    # Weights, by structural name.
    "initialize",
    "get_parameters",
    "parameter_shapes",
    "set_parameters",
    "get_gradients",
    # Arrays and devices.
    "cpu",
    "gpu",
    "num_gpus",
    "placement",
    "array",
    "as_numpy",
    "preprocess",
    # Random generators.
    "seed",
    "reseed",
    # One training step; a forward pass in evaluation mode, and the classes that follow from it.
    "Trainer",
    "evaluate",
    "predicted_classes",
    # Logits that may be coarser than the labels.
    "label_log_probability",
    "at_label_size",
    # Files that run without this package.
    "EXPORT_FORMATS",
    "write_graph",
    "read_graph",
    # What a forward pass costs.
    "measuring",
    # A net in another precision, for prediction only.
    "prepare_inference",
    # Many devices.
    "launch",
    "rank",
    "world_size",
    "device_count",
    "devices",
    "all_reduce_sum",
)
