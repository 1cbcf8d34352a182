"""The precisions in which a net is trained and in which it predicts."""

TRAINING_PRECISIONS = ("fp32", "bf16", "fp16")
INFERENCE_PRECISIONS = ("auto", *TRAINING_PRECISIONS, "int8")


def check_inference_precision(precision: str) -> None:
    """Raise ValueError if ``precision`` is not one of ``INFERENCE_PRECISIONS``."""
    if precision not in INFERENCE_PRECISIONS:
        raise ValueError(
            f"precision={precision!r}: expected one of {', '.join(INFERENCE_PRECISIONS)}"
        )
