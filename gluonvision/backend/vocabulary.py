"""The vocabulary: every name that both backends define."""

VOCABULARY = (
    # To write models with.
    "HybridBlock",
    "nn",
    "F",
    "init",
    # Weights and gradients by structural name.
    "initialize",
    "get_parameters",
    "parameter_shapes",
    "set_parameters",
    "get_gradients",
    # Arrays and devices.
    "cpu",
    "gpu",
    "num_gpus",
    "device_and_dtype",
    "array",
    "as_numpy",
    "preprocess",
    # Random generators.
    "seed",
    "reseed",
    # Training, and forward passes in evaluation mode.
    "Trainer",
    "evaluate",
    "predicted_classes",
    # A net that predicts in another precision.
    "prepare_inference",
    # Logits that may be coarser than the labels.
    "label_log_probability",
    "resize_to_label",
    # Graphs that run without this package.
    "EXPORT_FORMATS",
    "write_graph",
    "read_graph",
    # The cost of a forward pass.
    "profiling",
    # Several devices.
    "launch",
    "rank",
    "world_size",
    "device_count",
    "devices",
    "all_reduce_sum",
)
