"""Learning rate schedules."""


def poly(step: int, total: int, base: float, power: float = 0.9, warmup: int = 0) -> float:
    """Compute the poly learning rate: ``base * (1 - step / total) ** power``.

    Args:
        step: the step, in [0, ``total``).
        total: number of steps of the whole run.
        base: initial learning rate.
        power: exponent.
        warmup: number of first steps over which the rate rises linearly to the curve.

    Source: Chen et al., DeepLab (PAMI 2018), section 4.1.
    """
    if not 0 <= step < total:
        raise ValueError(f"step={step}: expected 0 to {total - 1}")
    rate = base * (1 - step / total) ** power
    return rate * (step + 1) / warmup if step < warmup else rate
