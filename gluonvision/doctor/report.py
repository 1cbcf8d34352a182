"""What the doctor found, as plain values, and the same as text for a terminal."""

import contextlib
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair
from gluonvision.plots.page import printable

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Example:
    """One file that a finding is about, and what is the matter with it."""

    file: Path
    detail: str = ""
    pair: Pair | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Finding:
    """Something to know about the data set: ``files`` are the first few of ``count``.

    severity: 'error' (training would stop, or learn what is wrong), 'warning' (looks wrong) or
    'note'. A finding about the set as a whole has no files and a count of 0.
    """

    severity: str
    code: str
    message: str
    mend: str
    files: tuple[Example, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class ClassCount:
    """A class's pixels, and the images that have any."""

    name: str
    pixels: int
    images: int


@dataclass(frozen=True)
class SplitStatistics:
    """One split: files read, and its pixels by class, unlabelled and of no class (wrong)."""

    name: str
    images: int
    masks: int
    classes: tuple[ClassCount, ...]
    unlabelled: int
    wrong: int

    @property
    def labelled(self) -> int:
        """Pixels that have a class."""
        return sum(entry.pixels for entry in self.classes)

    @property
    def unlabelled_share(self) -> float:
        """Part (0-1) of all mask pixels that is not labelled; 0 without masks."""
        return self.unlabelled / max(self.labelled + self.unlabelled + self.wrong, 1)


@dataclass(frozen=True)
class Spread:
    """Least, middle and greatest, in pixels."""

    least: int
    median: int
    greatest: int


@dataclass(frozen=True)
class Statistics:
    """The set in numbers.

    Kinds are format and Pillow mode ('JPEG RGB') with their number of files, most frequent first;
    as are sizes ('500x375', width x height), the 12 most frequent.
    """

    splits: tuple[SplitStatistics, ...]
    widths: Spread
    heights: Spread
    sizes: tuple[tuple[str, int], ...]
    image_kinds: tuple[tuple[str, int], ...]
    mask_kinds: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Report:
    """All that ``examine`` found; findings come errors first. ``samples``: pairs to show."""

    dataset: str
    root: Path
    findings: tuple[Finding, ...]
    statistics: Statistics
    meta: Meta = field(repr=False)
    samples: tuple[Pair, ...] = field(default=(), repr=False)

    def with_severity(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def has_errors(self) -> bool:
        """Whether training on this would stop, or learn what is wrong."""
        return bool(self.with_severity("error"))

    @property
    def verdict(self) -> str:
        """One line: how many findings of each severity."""
        counts = [(len(self.with_severity(severity)), severity) for severity in SEVERITIES]
        found = [f"{n} {severity}{'s' if n > 1 else ''}" for n, severity in counts if n]
        return ", ".join(found) or "nothing found"

    def relative(self, path: Path) -> str:
        """A file's name below the root, fit to be printed: control characters are escaped."""
        with contextlib.suppress(ValueError):
            path = path.relative_to(self.root)
        return printable(str(path))

    def to_text(self, width: int | None = None) -> str:
        """The report for a terminal of ``width`` columns, by default the one at hand."""
        width = width or min(shutil.get_terminal_size().columns, 100)
        head = f"{self.dataset} at {printable(str(self.root))}"
        parts = [head, _split_lines(self), _kind_lines(self), _class_table(self)]
        parts += [_finding_text(self, finding, width) for finding in self.findings]
        return "\n\n".join(part for part in [*parts, f"Verdict: {self.verdict}."] if part)


def percent(share: float) -> str:
    """A share (0-1) in percent, '< 0.01 %' where there is some but little."""
    return f"{100 * share:.2f} %" if share == 0 or share >= 0.0001 else "< 0.01 %"


def _split_lines(report: Report) -> str:
    lines = []
    for split in report.statistics.splits:
        masks = f"{split.masks} masks" if split.masks else "no mask that could be read"
        share = f", {percent(split.unlabelled_share)} of the pixels unlabelled"
        lines.append(
            f"  {split.name}: {split.images} images, {masks}{share if split.masks else ''}"
        )
    return "\n".join(lines)


def _kind_lines(report: Report) -> str:
    numbers = report.statistics
    rows = [("images", _listed(numbers.image_kinds)), ("masks", _listed(numbers.mask_kinds))]
    rows.append(("widths", _spread(numbers.widths)))
    rows.append(("heights", _spread(numbers.heights)))
    return "\n".join(f"  {name}: {text}" for name, text in rows if text)


def _listed(kinds: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{count} {printable(kind)}" for kind, count in kinds)


def _spread(spread: Spread) -> str:
    if spread.least == spread.greatest:
        return f"{spread.least}" if spread.least else ""
    return f"{spread.least} to {spread.greatest}, median {spread.median}"


def _class_table(report: Report) -> str:
    splits = [split for split in report.statistics.splits if split.masks]
    if not splits:
        return ""
    longest = max(len(name) for name in report.meta.classes)
    header = " " * (longest + 2) + "".join(f"{split.name[:22]:>24}" for split in splits)
    lines = [header, " " * (longest + 2) + "          pixels  images" * len(splits)]
    for label, name in enumerate(report.meta.classes):
        counts = [split.classes[label] for split in splits]
        # Those that never occur are named in a finding.
        if not any(count.images for count in counts):
            continue
        cells = [
            f"{percent(c.pixels / max(s.labelled, 1)):>16}{c.images:>8}"
            for c, s in zip(counts, splits)
        ]
        lines.append(f"  {name:<{longest}}{''.join(cells)}")
    return "\n".join(lines)


def _finding_text(report: Report, finding: Finding, width: int) -> str:
    count = f" ({finding.count} file{'s' if finding.count != 1 else ''})" if finding.count else ""
    head = f"{finding.severity.upper()} {finding.code}: {finding.message}{count}"
    lines = textwrap.wrap(head, width, subsequent_indent="  ")
    for example in finding.files:
        detail = f": {printable(example.detail)}" if example.detail else ""
        lines.append(f"    {report.relative(example.file)}{detail}")
    if finding.count > len(finding.files):
        lines.append(f"    ... and {finding.count - len(finding.files)} more")
    mend = textwrap.wrap(
        f"Mend: {finding.mend}", width, initial_indent="  ", subsequent_indent="  "
    )
    return "\n".join([*lines, *mend])
