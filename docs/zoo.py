"""Write the tables of the model zoo, from the table of weights and the models themselves."""

from collections.abc import Iterable

import numpy as np

from gluonvision.backend import array, profiling
from gluonvision.deployment.benchmark import count_parameters
from gluonvision.model_zoo import get_model
from gluonvision.model_zoo.weights.table import BACKBONES, SEGMENTATION, UNPUBLISHED, Weights


def tables() -> str:
    """Write the zoo as Markdown: segmentation models, backbones, and files with their hashes."""
    models, backbones = [*SEGMENTATION], [*BACKBONES]
    models += [name for name in UNPUBLISHED if "fcn" in name]
    backbones += [name for name in UNPUBLISHED if "fcn" not in name]
    parts = [
        "## Segmentation models",
        _table(("name", "mIoU", "data", *_costs(480)), map(_model_row, models)),
        "## Backbones",
        _table(("name", "ImageNet top-1", *_costs(224)), map(_backbone_row, backbones)),
        "## Files",
        _table(("model, licence, source of the score", "file and hash"), _file_rows()),
    ]
    return "\n\n".join(parts) + "\n"


def cost(name: str, side: int) -> tuple[int, int]:
    """Count the parameters of a model, and its multiply-adds for a square image of this side.

    Uses torch's "meta" device, which tracks shapes and computes nothing.
    """
    net = get_model(name).to("meta")
    x = array(np.zeros((1, 3, side, side), np.float32), "meta")
    return count_parameters(net), profiling.count_multiply_adds(net, x)


def _costs(side):
    return "parameters, M", f"multiply-adds, G, at {side} x {side}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cost_cells(name, side):
    parameters, multiply_adds = cost(name, side)
    return f"{parameters / 1e6:.2f}", f"{multiply_adds / 1e9:.1f}"


def _model_row(name):
    best = SEGMENTATION.get(name, (None,))[0]
    score = best and best.score
    cells = (f"{score.value:.1f}", score.data) if score else ("", _why_none(best))
    return f"`{name}`", *cells, *_cost_cells(name, 480)


def _why_none(weights):
    return "no published score" if weights else "no published weights"


def _backbone_row(name):
    return f"`{name}`", _published(BACKBONES.get(name, ())), *_cost_cells(name, 224)


def _published(files):
    scores = {w.format: f"{w.score.value:.1f}" if w.score else "not published" for w in files}
    cells = [f"{score} ({form})" for form, score in scores.items()]
    return ", ".join(cells) or "no published weights"


def _file_rows():
    for name, files in {**SEGMENTATION, **BACKBONES}.items():
        for weights in files:
            about = (f"`{name}`", weights.licence, _source(weights))
            yield "<br>".join(filter(None, about)), f"`{weights.file}`<br>{_hash(weights)}"


def _hash(weights: Weights) -> str:
    if weights.checksum is None:
        return "no published hash"
    kind, digits = weights.checksum.split(":")
    return f"{kind} `{digits}`"


def _source(weights):
    source = weights.score.source if weights.score else ""
    return source.replace("docs/model_zoo/csv_tables/", "")
