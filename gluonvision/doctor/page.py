"""The report as one HTML page that needs nothing else: no script, no font, no file beside it."""

import os
from html import escape
from pathlib import Path

from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair
from gluonvision.doctor.report import (
    ClassCount,
    Example,
    Finding,
    Report,
    SplitStatistics,
    Spread,
    percent,
)
from gluonvision.doctor.thumbnails import thumbnail
from gluonvision.plots.page import document, swatch, text
from gluonvision.utils.atomic import write_text


def write_html(report: Report, path: str | os.PathLike) -> Path:
    """Write the report as a page, whole or not at all, and return its path.

    Raises OSError where it cannot be written.
    """
    # Reading the pictures is what takes time and can be interrupted: that comes before any file.
    write_text(path, to_html(report))
    return Path(path)


def to_html(report: Report) -> str:
    """The page's text; reads the example files again for their small pictures."""
    title = f"{report.dataset}: data doctor"
    body = [_head(report), _findings(report), _samples(report), _classes(report), _files(report)]
    return document(title, body)


def _head(report: Report) -> str:
    chips = [
        f'<li class="{severity}">{number} {severity}{"s" if number > 1 else ""}</li>'
        for severity in ("error", "warning", "note")
        if (number := len(report.with_severity(severity)))
    ]
    chips = chips or ['<li class="fine">nothing found</li>']
    return (
        f"<header><h1>{text(report.dataset)}</h1>"
        f'<p class="soft">{text(str(report.root))}</p>'
        f'<ul class="verdict">{"".join(chips)}</ul></header>'
    )


def _findings(report: Report) -> str:
    if not report.findings:
        return ""
    return "<h2>Findings</h2>" + "".join(_finding(report, f) for f in report.findings)


def _finding(report: Report, finding: Finding) -> str:
    count = f": {finding.count}" if finding.count else ""
    title = finding.message[:1].upper() + finding.message[1:]
    shown = "".join(_example(report, example) for example in finding.files)
    rest = finding.count - len(finding.files)
    return (
        f'<article class="{finding.severity}"><h3>{text(title)}</h3>'
        f'<p class="code">{finding.severity}, {text(finding.code)}{count}</p>'
        f"<p><b>Mend:</b> {text(finding.mend)}</p>"
        + (f'<ul class="pictures">{shown}</ul>' if shown else "")
        + (f'<p class="soft">and {rest} more</p>' if rest > 0 else "")
        + "</article>"
    )


def _example(report: Report, example: Example) -> str:
    pair = example.pair or Pair("", example.file)
    detail = f"<br>{text(example.detail)}" if example.detail else ""
    # Long paths break between folders, not within a name.
    name = text(report.relative(example.file)).replace("/", "/<wbr>")
    return f"<li>{_picture(pair, report.meta)}{name}{detail}</li>"


def _picture(pair: Pair, meta: Meta) -> str:
    source = thumbnail(pair, meta)
    if not source:
        return '<span class="blank">cannot be shown</span>'
    return f'<img src="{source}" alt="">'


def _samples(report: Report) -> str:
    if not report.samples:
        return ""
    items = [
        f"<li>{_picture(pair, report.meta)}{text(pair.split)}: {text(pair.image.name)}</li>"
        for pair in report.samples
    ]
    return (
        "<h2>Samples</h2>"
        '<p class="soft">Do image and mask belong together, and do the colours fit the classes '
        "below? White is unlabelled, magenta is a value of no class.</p>"
        f'<ul class="pictures">{"".join(items)}</ul>'
    )


def _classes(report: Report) -> str:
    parts = [_class_table(split, report.meta) for split in report.statistics.splits if split.masks]
    return "<h2>Classes</h2>" + "".join(parts) if parts else ""


def _class_table(split: SplitStatistics, meta: Meta) -> str:
    # To the scale of the background every other bar would be a hair; so it has none.
    counts = [0 if label == meta.background else c.pixels for label, c in enumerate(split.classes)]
    rows = [
        _class_row(entry, colour, count / max([*counts, 1]), split.labelled)
        for entry, colour, count in zip(split.classes, meta.palette, counts)
    ]
    head = '<tr><th>class</th><th></th><th class="count">pixels</th><th class="count">images</th>'
    return (
        f"<h3>{text(split.name)}</h3><p>{escape(percent(split.unlabelled_share))} of the pixels "
        f"are unlabelled. Shares are of the labelled ones{_scale(meta)}.</p>"
        f'<table class="numbers">{head}</tr>{"".join(rows)}</table><br>'
    )


def _class_row(entry: ClassCount, colour: tuple[int, ...], length: float, labelled: int) -> str:
    # None for what never occurs: the shortest bar would say that it does.
    bar = f'<span class="bar" style="width:{100 * length:.2f}%"></span>' if length else ""
    share = escape(percent(entry.pixels / max(labelled, 1)))
    return (
        f'<tr class="{"seen" if entry.pixels else "never"}">'
        f"<td>{swatch(colour)}{text(entry.name)}</td><td>{bar}</td>"
        f'<td class="count">{share}</td><td class="count">{entry.images}</td></tr>'
    )


def _scale(meta: Meta) -> str:
    if meta.background is None:
        return ""
    return f"; {text(meta.classes[meta.background])} has no bar"


def _files(report: Report) -> str:
    numbers = report.statistics
    rows = [
        (f"{split.name}", f"{split.images} images, {split.masks} masks read")
        for split in numbers.splits
    ]
    rows.append(("image files", _listed(numbers.image_kinds)))
    rows.append(("mask files", _listed(numbers.mask_kinds)))
    rows.append(("widths", _spread(numbers.widths)))
    rows.append(("heights", _spread(numbers.heights)))
    rows.append(("sizes", _listed(numbers.sizes)))
    cells = "".join(
        f"<tr><th>{text(name)}</th><td>{text(listed)}</td></tr>" for name, listed in rows
    )
    return f'<h2>Files</h2><table class="numbers">{cells}</table>'


def _listed(kinds: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in kinds) or "none"


def _spread(spread: Spread) -> str:
    return f"{spread.least} to {spread.greatest}, median {spread.median}"
