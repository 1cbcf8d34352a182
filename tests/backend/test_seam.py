"""The rules of the seam that the code itself shows: what models are written with, and how."""

import ast
import inspect
from pathlib import Path

import gluonvision
from gluonvision.backend.torch import functional, layers

PACKAGE = Path(gluonvision.__file__).parent
SOURCES = [p for p in PACKAGE.rglob("*.py") if "backend" not in p.relative_to(PACKAGE).parts]
TREES = [ast.parse(path.read_text()) for path in SOURCES]
# Used by the tutorial's lines, which its readers type, and by losses of their own.
TUTORIAL = {"F": {"squeeze", "argmax", "log_softmax", "pick"}, "nn": set()}


def _used(module: str) -> set[str]:
    """The names that the package takes from ``F`` or ``nn``; those of F.contrib count too."""
    names = set()
    for node in (node for tree in TREES for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else None
            is_direct = isinstance(node.value, ast.Name) and node.value.id == module
            if is_direct or (module == "F" and owner == "contrib"):
                names.add(node.attr)
    return names


def test_the_operators_are_those_that_are_used():
    defined = {n for n in vars(functional) if not n.startswith("_")}
    defined -= {n for n in defined if inspect.ismodule(getattr(functional, n))} | {
        "SimpleNamespace"
    }
    defined |= set(vars(functional.contrib))
    assert defined == _used("F") | TUTORIAL["F"]


def test_the_layers_are_those_that_are_used():
    used_within_the_backend = {"HybridBlock"}
    assert set(layers.__all__) - used_within_the_backend == _used("nn") | TUTORIAL["nn"]


def test_no_shape_is_read_inside_hybrid_forward():
    for path, tree in zip(SOURCES, TREES):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef) and function.name == "hybrid_forward":
                reads = [n for n in ast.walk(function) if getattr(n, "attr", None) == "shape"]
                assert not reads, f"{path}:{function.lineno}"


def test_nothing_outside_the_backend_asks_which_one_it_is():
    for path, tree in zip(SOURCES, TREES):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "NAME":
                assert getattr(node.value, "id", None) != "backend", path
            if isinstance(node, ast.ImportFrom) and node.module == "gluonvision.backend":
                assert "NAME" not in [alias.name for alias in node.names], path
