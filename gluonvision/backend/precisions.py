"""In which numbers a net predicts."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def check_precision(precision: str) -> None:
    """Raise ValueError, which lists the precisions, for another one."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
