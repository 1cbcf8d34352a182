"""Check that named arrays fit a model: one check and one error message for both backends."""

from collections.abc import Iterable, Mapping

_SHOWN = 5


def check_fit(
    wanted: Mapping[str, tuple[int, ...]],
    given: Mapping[str, tuple[int, ...]],
    allow_missing: bool = False,
    ignore_extra: bool = False,
    source: str = "the weights",
) -> None:
    """Check the shapes of given arrays against those of a model, name by name.

    Args:
        wanted: the model's shapes by name; a size of 0 is one that MXNet infers later.
        given: the arrays' shapes by name.
        allow_missing: accept arrays that lack some of the model's names.
        ignore_extra: accept arrays whose names the model lacks.
        source: the arrays in words, for the error message.

    Raises:
        ValueError: if they do not fit. The message lists the names that are missing, extra or of
            another shape.
    """
    problems = []
    if not allow_missing:
        problems += _describe("missing", sorted(wanted.keys() - given.keys()))
    if not ignore_extra:
        problems += _describe("extra", sorted(given.keys() - wanted.keys()))
    common = [name for name in wanted if name in given]
    different = [name for name in common if not _agree(wanted[name], given[name])]
    problems += _describe(
        "of another shape",
        [f"{n} (file {tuple(given[n])}, model {tuple(wanted[n])})" for n in different],
    )
    if problems:
        advice = _advice({(tuple(wanted[n]), tuple(given[n])) for n in different})
        raise ValueError(f"{source} do not fit the model: {'; '.join(problems)}. {advice}")


def _advice(different: set[tuple[tuple, tuple]]) -> str:
    """Say how to fix a mismatch, from the (model's, file's) pairs of shapes that differ."""
    first_sizes = {(model[:1], file[:1]) for model, file in different}
    if len(first_sizes) == 1 and all(
        model and file and model[1:] == file[1:] for model, file in different
    ):
        ((model_size,), (file_size,)) = first_sizes.pop()
        return (
            f"The file seems to be for {file_size} classes and the model has {model_size}: build "
            f"it with nclass={file_size} (a classifier: classes={file_size})"
        )
    return (
        "Build the model that they were saved from (same nclass, backbone, aux and in_channels; "
        "classes=None for a backbone without its classifier), or pass allow_missing=True or "
        "ignore_extra=True if names are missing or extra on purpose"
    )


def _agree(wanted: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Whether two shapes agree; 0 is a size that MXNet infers later."""
    return len(wanted) == len(given) and all(w in (0, g) for w, g in zip(wanted, given))


def _describe(kind: str, names: Iterable[str]) -> list[str]:
    names = list(names)
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{len(names)} {kind}: " + ", ".join(names[:_SHOWN]) + more]
