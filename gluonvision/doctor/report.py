"""The results of the doctor as plain values, and as text for a terminal."""

import contextlib
import shutil
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair
from gluonvision.plots.page import printable

SEVERITIES = ("error", "warning", "note")
NO_PROBLEMS = "no problems found"


@dataclass(frozen=True)
class Example:
    """A file with a problem, and the details of it."""

    file: Path
    detail: str = ""
    pair: Pair | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Finding:
    """A problem of the data set, or a note on it.

    Attributes:
        severity: 'error' (training would stop or learn from wrong labels), 'warning' (probably
            wrong) or 'note'.
        code: the kind of problem, such as 'missing-image'.
        message: the problem in one sentence.
        fix: what to do about it.
        files: the first few files with the problem; empty if it concerns the data set as a whole.
        count: the number of files with the problem; 0 if it concerns the data set as a whole.
    """

    severity: str
    code: str
    message: str
    fix: str
    files: tuple[Example, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class ClassCount:
    """The number of pixels of a class, and of images that contain it."""

    name: str
    pixels: int
    images: int


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of a split.

    Attributes:
        name: the split's name.
        images: number of images that were read.
        masks: number of masks that were read.
        classes: pixels and images of each class.
        unlabelled: number of ignored pixels.
        wrong: number of pixels whose value is neither a class nor ignored.
    """

    name: str
    images: int
    masks: int
    classes: tuple[ClassCount, ...]
    unlabelled: int
    wrong: int

    @property
    def labelled(self) -> int:
        """Number of pixels with a class."""
        return sum(entry.pixels for entry in self.classes)

    @property
    def unlabelled_fraction(self) -> float:
        """Fraction (0-1) of all mask pixels that are unlabelled; 0 without masks."""
        return self.unlabelled / max(self.labelled + self.unlabelled + self.wrong, 1)


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum, in pixels."""

    minimum: int
    median: int
    maximum: int


@dataclass(frozen=True)
class Statistics:
    """Statistics of a data set.

    Attributes:
        splits: statistics of each split.
        widths: spread of the image widths.
        heights: spread of the image heights.
        sizes: the 12 most frequent image sizes ('500x375', width x height) with their counts.
        image_kinds: format and Pillow mode of the images ('JPEG RGB') with their counts, most
            frequent first.
        mask_kinds: the same for the masks.
    """

    splits: tuple[SplitStatistics, ...]
    widths: Spread
    heights: Spread
    sizes: tuple[tuple[str, int], ...]
    image_kinds: tuple[tuple[str, int], ...]
    mask_kinds: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Report:
    """The result of ``examine``: findings (errors first), statistics, and sample pairs to show."""

    dataset: str
    root: Path
    findings: tuple[Finding, ...]
    statistics: Statistics
    meta: Meta = field(repr=False)
    samples: tuple[Pair, ...] = field(default=(), repr=False)

    def with_severity(self, severity: str) -> tuple[Finding, ...]:
        """Return the findings of a severity: 'error', 'warning' or 'note'."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def has_errors(self) -> bool:
        """Whether training would stop or learn from wrong labels."""
        return bool(self.with_severity("error"))

    @property
    def severity_counts(self) -> list[tuple[str, str]]:
        """Pairs of a severity and its count in words, such as ('error', '2 errors')."""
        counts = [(severity, len(self.with_severity(severity))) for severity in SEVERITIES]
        return [(name, f"{n} {name}{'s' if n > 1 else ''}") for name, n in counts if n]

    def relative(self, path: Path) -> str:
        """Return the path relative to the root, with control characters escaped."""
        with contextlib.suppress(ValueError):
            path = path.relative_to(self.root)
        return printable(str(path))

    def to_text(self, width: int | None = None) -> str:
        """Format the report for a terminal.

        Args:
            width: number of columns; by default that of the current terminal, at most 100.
        """
        width = width or min(shutil.get_terminal_size().columns, 100)
        head = f"{self.dataset} at {printable(str(self.root))}"
        parts = [head, _split_lines(self), _kind_lines(self), _class_table(self)]
        parts += [_finding_text(self, finding, width) for finding in self.findings]
        counts = ", ".join(count for _, count in self.severity_counts)
        return "\n\n".join(part for part in [*parts, f"Result: {counts or NO_PROBLEMS}."] if part)


def percent(fraction: float) -> str:
    """Format a fraction (0-1) in percent; tiny but positive fractions are '< 0.01 %'."""
    return f"{100 * fraction:.2f} %" if fraction == 0 or fraction >= 0.0001 else "< 0.01 %"


def _split_lines(report: Report) -> str:
    lines = []
    for split in report.statistics.splits:
        masks = f"{split.masks} masks" if split.masks else "no readable masks"
        unlabelled = f", {percent(split.unlabelled_fraction)} of the pixels unlabelled"
        lines.append(
            f"  {split.name}: {split.images} images, {masks}{unlabelled if split.masks else ''}"
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
    if spread.minimum == spread.maximum:
        return f"{spread.minimum}" if spread.minimum else ""
    return f"{spread.minimum} to {spread.maximum}, median {spread.median}"


def _class_table(report: Report) -> str:
    splits = [split for split in report.statistics.splits if split.masks]
    if not splits:
        return ""
    longest = max(len(name) for name in report.meta.classes)
    header = " " * (longest + 2) + "".join(f"{split.name[:22]:>24}" for split in splits)
    lines = [header, " " * (longest + 2) + "          pixels  images" * len(splits)]
    for label, name in enumerate(report.meta.classes):
        counts = [split.classes[label] for split in splits]
        # A finding lists the classes that never occur.
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
    fix = f"Fix: {finding.fix}"
    lines += textwrap.wrap(fix, width, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)
