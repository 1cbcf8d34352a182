"""Write the report as one self-contained HTML page."""

import os
from html import escape
from pathlib import Path

from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair
from gluonvision.doctor.report import (
    NO_PROBLEMS,
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
    """Write the report as a page, atomically.

    Returns:
        The path of the page.

    Raises:
        OSError: if the file cannot be written.
    """
    # Build the page first: reading the images takes long and may be interrupted.
    write_text(path, to_html(report))
    return Path(path)


def to_html(report: Report) -> str:
    """Return the text of the page; reads the example images again for their thumbnails."""
    title = f"{report.dataset}: data doctor"
    body = [_header(report), _findings(report), _samples(report), _classes(report), _files(report)]
    return document(title, body)


def _header(report: Report) -> str:
    counts = report.severity_counts or [("fine", NO_PROBLEMS)]
    chips = [f'<li class="{severity}">{count}</li>' for severity, count in counts]
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
        f"<p><b>Fix:</b> {text(finding.fix)}</p>"
        + (f'<ul class="pictures">{shown}</ul>' if shown else "")
        + (f'<p class="soft">and {rest} more</p>' if rest > 0 else "")
        + "</article>"
    )


def _example(report: Report, example: Example) -> str:
    pair = example.pair or Pair("", example.file)
    detail = f"<br>{text(example.detail)}" if example.detail else ""
    # Let long paths break between folders, not within a name.
    name = text(report.relative(example.file)).replace("/", "/<wbr>")
    return f"<li>{_image(pair, report.meta)}{name}{detail}</li>"


def _image(pair: Pair, meta: Meta) -> str:
    source = thumbnail(pair, meta)
    if not source:
        return '<span class="blank">cannot be shown</span>'
    return f'<img src="{source}" alt="">'


def _samples(report: Report) -> str:
    if not report.samples:
        return ""
    items = [
        f"<li>{_image(pair, report.meta)}{text(pair.split)}: {text(pair.image.name)}</li>"
        for pair in report.samples
    ]
    return (
        "<h2>Samples</h2>"
        '<p class="soft">Check that each mask fits its image and that the colours match the '
        "classes below. White pixels are unlabelled; magenta pixels have no valid class.</p>"
        f'<ul class="pictures">{"".join(items)}</ul>'
    )


def _classes(report: Report) -> str:
    parts = [_class_table(split, report.meta) for split in report.statistics.splits if split.masks]
    return "<h2>Classes</h2>" + "".join(parts) if parts else ""


def _class_table(split: SplitStatistics, meta: Meta) -> str:
    # The background has no bar: scaled to it, all other bars would be too short to see.
    counts = [0 if label == meta.background else c.pixels for label, c in enumerate(split.classes)]
    rows = [
        _class_row(entry, colour, count / max([*counts, 1]), split.labelled)
        for entry, colour, count in zip(split.classes, meta.palette, counts)
    ]
    head = '<tr><th>class</th><th></th><th class="count">pixels</th><th class="count">images</th>'
    return (
        f"<h3>{text(split.name)}</h3><p>{escape(percent(split.unlabelled_fraction))} of the "
        f"pixels are unlabelled. Percentages refer to labelled pixels{_bar_note(meta)}.</p>"
        f'<table class="numbers">{head}</tr>{"".join(rows)}</table><br>'
    )


def _class_row(entry: ClassCount, colour: tuple[int, ...], length: float, labelled: int) -> str:
    # No bar for an absent class: even the shortest would look as if the class occurred.
    bar = f'<span class="bar" style="width:{100 * length:.2f}%"></span>' if length else ""
    fraction = escape(percent(entry.pixels / max(labelled, 1)))
    return (
        f'<tr class="{"seen" if entry.pixels else "never"}">'
        f"<td>{swatch(colour)}{text(entry.name)}</td><td>{bar}</td>"
        f'<td class="count">{fraction}</td><td class="count">{entry.images}</td></tr>'
    )


def _bar_note(meta: Meta) -> str:
    if meta.background is None:
        return ""
    return f"; {text(meta.classes[meta.background])} has no bar"


def _files(report: Report) -> str:
    statistics = report.statistics
    rows = [
        *((each.name, f"{each.images} images, {each.masks} masks") for each in statistics.splits),
        ("image files", _listed(statistics.image_kinds)),
        ("mask files", _listed(statistics.mask_kinds)),
        ("widths", _spread(statistics.widths)),
        ("heights", _spread(statistics.heights)),
        ("sizes", _listed(statistics.sizes)),
    ]
    cells = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in rows)
    return f'<h2>Files</h2><table class="numbers">{cells}</table>'


def _listed(kinds: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{kind}: {count}" for kind, count in kinds) or "none"


def _spread(spread: Spread) -> str:
    return f"{spread.minimum} to {spread.maximum}, median {spread.median}"
