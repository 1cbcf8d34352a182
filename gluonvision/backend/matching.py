"""Does a set of named arrays fit a model? One check, one error, for both backends."""

from collections.abc import Iterable, Mapping

_SHOWN = 5


def check_fit(
    wanted: Mapping[str, tuple],
    given: Mapping[str, tuple],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
):
    """Raise ValueError unless the shapes ``given`` fit the shapes ``wanted``, name by name.

    The error lists the names that are missing, extra or of another shape.
    """
    problems = []
    if not allow_missing:
        problems += _describe("missing", sorted(wanted.keys() - given.keys()))
    if not ignore_extra:
        problems += _describe("extra", sorted(given.keys() - wanted.keys()))
    common = [name for name in wanted if name in given]
    different = [name for name in common if not _same(wanted[name], given[name])]
    problems += _describe(
        "of another shape",
        [f"{n} (file {tuple(given[n])}, model {tuple(wanted[n])})" for n in different],
    )
    if problems:
        advice = _advice({(tuple(wanted[n]), tuple(given[n])) for n in different})
        raise ValueError(f"{source} do not fit the model: {'; '.join(problems)}. {advice}")


def _advice(different: set[tuple[tuple, tuple]]) -> str:
    """What to do; ``different`` holds the pairs of shapes, the model's first, that differ."""
    first = {(ours[:1], theirs[:1]) for ours, theirs in different}
    if len(first) == 1 and all(
        ours and theirs and ours[1:] == theirs[1:] for ours, theirs in different
    ):
        ((ours,), (theirs,)) = first.pop()
        return (
            f"The file seems to be for {theirs} classes, the model has {ours}: build it with "
            f"nclass={theirs} (a classifier: classes={theirs})"
        )
    return (
        "Build the model that they were saved from (nclass, backbone, aux, in_channels; "
        "classes=None is a backbone alone), or pass allow_missing=True or ignore_extra=True if "
        "names are missing or extra on purpose"
    )


def _same(wanted: tuple, given: tuple) -> bool:
    """Whether shapes agree; 0 is a size that MXNet infers later."""
    return len(wanted) == len(given) and all(w in (0, g) for w, g in zip(wanted, given))


def _describe(kind: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{len(names)} {kind}: " + ", ".join(names[:_SHOWN]) + more]
