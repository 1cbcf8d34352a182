"""Generate docs/benchmarks.md, with its tables and figures, from benchmarks/results.

python benchmarks/page.py
"""

import ast
import json
import math
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

FOLDER = Path(__file__).resolve().parent
DOCS = FOLDER.parent / "docs"
_MIN_RATIO = 0.04  # smaller ratios are drawn here, as an arrow
_OURS, _THEIRS = "#1769aa", "#8a8f98"
_HEAD = """# Benchmarks

`python benchmarks/page.py` generates this page from `benchmarks/results`; do not edit it. Each row
compares ours with a named peer, on the same work, in turn, in the same run. `ratio` is the median
over the rounds of ours divided by theirs; below 1, ours is better. On one CPU thread, times are CPU
times. [speed.md](speed.md) explains how and why we measure.
"""
_UNMEASURED = """
## Not yet measured on a GPU

These benchmarks have not been run on a GPU yet. Each is one command and adds its table to this
page: {commands}.
"""
_GPU = ("fused_loss", "upsampled_argmax", "training_step", "prediction")


def main():
    results = {
        p.stem: json.loads(p.read_text(encoding="utf-8"))
        for p in sorted(FOLDER.glob("results/*.json"))
    }
    (DOCS / "images").mkdir(exist_ok=True)
    parts = [_HEAD]
    if rows := [row for name, r in results.items() if name != "growth" for row in r["rows"]]:
        draw_ratios(rows, DOCS / "images" / "benchmarks.png")
        parts.append("![The ratio of each row](images/benchmarks.png)\n")
    parts += [section(name, result) for name, result in results.items()]
    unmeasured = [f"`python benchmarks/{n}.py`" for n in _GPU if f"{n}_cuda" not in results]
    if unmeasured:
        parts.append(_UNMEASURED.format(commands=", ".join(unmeasured)))
    (DOCS / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")


def section(name: str, result: dict) -> str:
    """Write a result's heading, its settings and its table."""
    script = FOLDER / result["command"].split()[1].removeprefix("benchmarks/")
    source = script.read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(source)) or name).splitlines()[0].rstrip(".")
    versions = ", ".join(f"{package} {v}" for package, v in result["versions"].items())
    machine = result["accelerator"] or f"{result['processor']}, {result['threads']} thread"
    lines = [f"## {title}\n", f"`{result['command']}`: {machine}; {versions}; {result['date']}.\n"]
    if name == "growth":
        draw_growth(result["rows"], DOCS / "images" / "growth.png")
        lines.append("![Time and memory against the amount of work](images/growth.png)\n")
    others = _other_columns(result["rows"])
    heads = ["work", "quantity", "ours", "peer", "theirs", "ratio", "aim", *others]
    lines += [_line(heads), _line(["---"] * len(heads))]
    lines += [_line(_cells(row, others)) for row in result["rows"]]
    return "\n".join(lines) + "\n"


def _other_columns(rows):
    known = {"work", "quantity", "unit", "ours", "peer", "theirs", "ratio", "aim"}
    lists = {"amounts", "values", "plain values"}
    return list(dict.fromkeys(key for row in rows for key in row if key not in known | lists))


def _cells(row, others):
    aim = f"at most {row['aim']:.3g}" if "aim" in row else ""
    figures = [f"{_figure(row[key])} {row['unit']}".strip() for key in ("ours", "theirs")]
    return [
        *(row["work"], row["quantity"], figures[0], row["peer"], figures[1]),
        *(f"{row['ratio']:.2f}", aim),
        *(_figure(row[key]) if key in row else "" for key in others),
    ]


def _figure(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(cells):
    return f"| {' | '.join(cells)} |"


def draw_ratios(rows, path):
    """Draw a point per row on a logarithmic axis, and a line at a ratio of 1."""
    figure = Figure((10, 1 + 0.3 * len(rows)), dpi=110, layout="constrained")
    axes = figure.subplots()
    names = [f"{row['work']}: {row['quantity']}\nagainst {row['peer']}" for row in rows]
    places = range(len(rows))[::-1]
    ratios = [max(row["ratio"], _MIN_RATIO) for row in rows]
    axes.hlines(places, ratios, 1, color=_THEIRS, linewidth=1)
    for ratio, place in zip(ratios, places):
        axes.plot(ratio, place, "<" if ratio == _MIN_RATIO else "o", color=_OURS, markersize=6)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(places, names, fontsize=7)
    axes.set_xscale("log")
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(0.9 * _MIN_RATIO, 2)
    axes.set_ylim(-1, len(rows))
    axes.set_xlabel("ours / theirs: left of 1, ours takes less")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def draw_growth(rows, path):
    """Draw a panel per series on logarithmic axes, with its exponent."""
    columns = math.ceil(len(rows) / 2)
    figure = Figure((2.5 * columns, 5.4), dpi=110, layout="constrained")
    panels = figure.subplots(2, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_visible(False)
    for index, row in enumerate(rows):
        axes = panels[index % 2, index // 2]
        axes.set_visible(True)
        _draw_series(axes, row)
    figure.savefig(path)


def _draw_series(axes, row):
    unit = "ms" if row["quantity"].endswith("time") else "MiB"
    axes.plot(row["amounts"], row["values"], "o-", color=_OURS, label="ours")
    if row["plain values"]:
        axes.plot(row["amounts"], row["plain values"], "s--", color=_THEIRS, label="torch, plain")
        axes.legend(fontsize=7, frameon=False)
    axes.set_xscale("log"), axes.set_yscale("log")
    axes.set_xticks(row["amounts"], [str(amount) for amount in row["amounts"]])
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.set_ylim(0.8 * min(row["values"] + row["plain values"]))
    axes.set_title(f"{row['work']}: exponent {row['ours']:.2f}", fontsize=8)
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
