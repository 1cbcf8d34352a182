"""Learning rates over a run."""


def poly(step: int, total: int, base: float, power: float = 0.9, warmup: int = 0) -> float:
    """The learning rate of ``step`` in [0, total): base (1 - step / total)^power.

    Over the first ``warmup`` steps it rises linearly to that curve. Source: Chen et al., DeepLab
    (PAMI 2018), section 4.1.
    """
    if not 0 <= step < total:
        raise ValueError(f"step={step}: expected 0 to {total - 1}")
    rate = base * (1 - step / total) ** power
    return rate * (step + 1) / warmup if step < warmup else rate
