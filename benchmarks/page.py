"""Generate docs/benchmarks.md, with its tables and figures, from benchmarks/results.

python benchmarks/page.py
"""

import ast
import json
import math
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator

FOLDER = Path(__file__).resolve().parent
DOCS = FOLDER.parent / "docs"
_OURS, _THEIRS, _MEMORY = "#1769aa", "#8a8f98", "#2a9d8f"
# Bars of the chart: label, result, and the work, quantity and peer of the row in it.
_BARS = (
    (
        "Load and augment a training image,\nagainst torchvision's transforms v2",
        "augmentation",
        ("a sample of 500 x 375, from its files to a crop of 480", "time"),
        "torchvision v2 (tensors)",
    ),
    (
        "Load and augment a training image,\nagainst GluonCV",
        "augmentation",
        ("a sample of 500 x 375, from its files to a crop of 480", "time"),
        "GluonCV",
    ),
    (
        "Loss and its gradient, 21 classes,\nagainst torch's interpolate and cross_entropy",
        "fused_loss_cpu",
        ("21 classes, 2 x 480 x 480, stride 8, cpu", "time"),
        "torch: interpolate, cross_entropy",
    ),
    (
        "Memory of the loss, 150 classes,\nagainst torch's interpolate and cross_entropy",
        "fused_loss_cpu",
        ("150 classes, 2 x 512 x 512, stride 8, cpu", "peak memory"),
        "torch: interpolate, cross_entropy",
    ),
    (
        "Training step of FCN-ResNet50,\nagainst torchvision",
        "training_step_cpu",
        ("FCN-ResNet50, stride 8, 2 x 480 x 480, cpu", "time of a step"),
        "torchvision, reference loop",
    ),
    (
        "Segment an image, FCN-ResNet50, default (int8),\nagainst torchvision",
        "predict_cpu",
        ("FCN-ResNet50, an image of 480 x 480 to its mask, default (int8)", "time"),
        "torchvision, eager, same weights",
    ),
    (
        "Segment an image, FCN-ResNet50, fp32,\nagainst torchvision",
        "predict_cpu",
        ("FCN-ResNet50, an image of 480 x 480 to its mask, fp32", "time"),
        "torchvision, eager, same weights",
    ),
    (
        "Segment an image, DeepLabV3-ResNet50, fp32,\nagainst segmentation-models-pytorch",
        "prediction_cpu",
        ("DeepLabV3-ResNet50, 1 x 480 x 480, float32, eager, cpu", "time"),
        "segmentation-models-pytorch",
    ),
    (
        "From logits to classes, 19 classes,\nagainst torch's interpolate and max",
        "upsampled_argmax_cpu",
        ("things, 19 classes, 1024 x 2048, stride 8, cpu", "time"),
        "torch: interpolate, max",
    ),
    (
        "Confusion matrix of a large image,\nagainst torchmetrics",
        "metrics",
        ("confusion matrix of 1024 x 2048, 19 classes", "time"),
        "torchmetrics",
    ),
    (
        "Memory for an image of 20,000 x 20,000,\nagainst decoding it whole",
        "large_image",
        ("TIF of 20000 x 20000, 798 MB", "peak memory"),
        "the image decoded whole",
    ),
)
_HEAD = """# Benchmarks

How fast is gluonvision, compared with the libraries that you would use instead? The chart shows the
most common tasks on one CPU. A bar of 2 means twice as fast, or half the memory.

![Speed and memory compared with other libraries](images/benchmarks.png)

On a CPU, loading data, losses, masks and metrics are several times as fast as the usual code, and
8-bit prediction more than twice as fast. Training steps and predictions in float32 take as long as
in other libraries, because the same convolutions dominate both. A few cases are slower: prediction
in bf16 on a CPU without matrix units, and by a few percent the loss with two classes and some
predictions of DeepLabV3. [Speed](speed.md) explains how it works.

## How to read the tables

Each row compares gluonvision (`ours`) with a named `peer` (`theirs`) on the same work. Both take
turns in the same run, so other load on the machine affects them alike. `ratio` is the median over
the rounds of ours divided by theirs: below 1, gluonvision needs less. `limit` is the highest ratio
that `make guard` accepts. On one thread, times are CPU times.

To repeat the measurements, run the command above a table, or `make benchmark` for all. Then
`python benchmarks/page.py` writes this page from `benchmarks/results`.
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
    draw_bars(bars(results), DOCS / "images" / "benchmarks.png")
    parts = [_HEAD]
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
    heads = ["work", "quantity", "ours", "peer", "theirs", "ratio", "limit", *others]
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


def bars(results: dict) -> list[tuple[str, float, bool]]:
    """List the label, the factor and whether it is memory of each bar, largest factor first.

    The factor is the peer's time or memory divided by ours.
    """
    found = []
    for label, name, (work, quantity), peer in _BARS:
        wanted = {"work": work, "quantity": quantity, "peer": peer}
        row = next(row for row in results[name]["rows"] if wanted.items() <= row.items())
        found.append((label, 1 / row["ratio"], "memory" in quantity))
    return sorted(found, key=lambda bar: -bar[1])


def draw_bars(found: list[tuple[str, float, bool]], path: Path) -> None:
    """Draw horizontal bars with their factors, and a line at 1, where both are equal."""
    figure = Figure((9, 0.9 + 0.45 * len(found)), dpi=110, layout="constrained")
    axes = figure.subplots()
    labels, factors, are_memory = zip(*found)
    places = range(len(found))[::-1]
    colours = [_MEMORY if is_memory else _OURS for is_memory in are_memory]
    axes.barh(places, factors, color=colours, height=0.62)
    for place, factor in zip(places, factors):
        axes.text(factor + 0.15, place, f"{factor:.1f} x", va="center", fontsize=10)
    axes.axvline(1, color=_THEIRS, linewidth=1, linestyle="--")
    axes.set_yticks(places, labels, fontsize=8.5)
    axes.set_xticks([])
    axes.set_xlim(0, 1.08 * max(factors))
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title(
        "gluonvision on a CPU: how many times as fast, or less memory", fontsize=11, loc="left"
    )
    keys = {"time": _OURS, "memory": _MEMORY}
    handles = [Patch(color=colour, label=name) for name, colour in keys.items()]
    handles.append(Line2D([], [], color=_THEIRS, linestyle="--", label="equal"))
    axes.legend(handles=handles, loc="lower right", frameon=False, fontsize=9)
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
