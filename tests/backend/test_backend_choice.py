"""Which backend is taken, what importing costs, and what is said when a backend cannot be had.

Every case runs in a process of its own: a backend is chosen once per process.
"""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gluonvision"
FRAMEWORKS = {"torch", "mxnet"}
HEAVY = {*FRAMEWORKS, "numpy", "cv2", "PIL", "matplotlib"}

needs_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs torch")
needs_mxnet = pytest.mark.skipif(not importlib.util.find_spec("mxnet"), reason="needs MXNet")


HIDE = """
import importlib.machinery, sys

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in {absent}
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
"""


def python(code, absent=(), **environment):
    """Run ``code`` where the packages ``absent`` are not installed."""
    hide = HIDE.format(absent=list(absent))
    base = {name: v for name, v in os.environ.items() if name != "GLUONVISION_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", hide + code],
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def output(code, **arguments):
    result = python(code, **arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def last_error(code, **arguments):
    """(the error's line, the whole traceback) of a process that must fail."""
    result = python(code, **arguments)
    assert result.returncode != 0, result.stdout
    return result.stderr.strip().splitlines()[-1], result.stderr


NAME = "from gluonvision import backend; print(backend.NAME)"


# Importing


def loaded_by(code):
    modules = output(f"{code}; print(*sys.modules)").split()
    return HEAVY & set(modules)


def test_importing_the_package_loads_no_framework_and_nothing_heavy():
    assert loaded_by("import gluonvision; dir(gluonvision)") == set()


@pytest.mark.parametrize("module", ["data.meta", "data", "metrics", "utils"])
def test_modules_of_plain_arrays_load_no_framework(module):
    assert not loaded_by(f"import gluonvision.{module}") & FRAMEWORKS


@pytest.mark.parametrize(
    ("backend", "other"),
    [
        pytest.param("torch", "mxnet", marks=needs_torch),
        pytest.param("mxnet", "torch", marks=needs_mxnet),
    ],
)
def test_one_backend_does_not_load_the_other(backend, other):
    code = f"import gluonvision.model_zoo; print({other!r} in sys.modules)"
    assert output(code, GLUONVISION_BACKEND=backend) == "False"


@pytest.mark.parametrize(
    "module", ["gluonvision", "gluonvision.model_zoo, gluonvision.data, gluonvision.utils"]
)
def test_importing_writes_nothing_to_the_home_directory(module, tmp_path):
    output(f"import {module}", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    error, _ = last_error("import gluonvision; gluonvision.modelzoo")
    assert error.startswith("AttributeError: module 'gluonvision' has no attribute 'modelzoo'")


# Choosing


@pytest.mark.parametrize("value", ["tensorflow", "torch,mxnet", "pytorch"])
def test_a_wrong_name_is_a_value_error_that_says_what_is_expected(value):
    error, _ = last_error(NAME, GLUONVISION_BACKEND=value)
    expected = f"ValueError: GLUONVISION_BACKEND={value!r}: expected 'torch' or 'mxnet'"
    assert error.startswith(expected)


@needs_torch
@pytest.mark.parametrize("value", ["", " Torch "])
def test_torch_is_taken_by_name_and_by_default(value):
    assert output(NAME, GLUONVISION_BACKEND=value) == "torch"


@needs_torch
def test_torch_alone_is_enough():
    assert output(NAME, absent=["mxnet"]) == "torch"


@needs_mxnet
def test_mxnet_is_taken_where_torch_is_not_installed():
    assert output(NAME, absent=["torch"]) == "mxnet"


@needs_mxnet
def test_mxnet_is_taken_by_name():
    assert output(NAME, GLUONVISION_BACKEND="mxnet") == "mxnet"


def test_without_any_backend_both_install_lines_are_given():
    error, _ = last_error(NAME, absent=FRAMEWORKS)
    assert error.startswith("ImportError: gluonvision needs PyTorch (pip install 'torch>=2.6')")
    assert "pip install 'gluonvision[mxnet]'" in error
    assert "neither is installed" in error


@pytest.mark.parametrize(
    ("backend", "line"),
    [("torch", "pip install 'torch>=2.6'"), ("mxnet", "pip install 'gluonvision[mxnet]'")],
)
def test_a_backend_that_is_asked_for_and_not_installed_gives_its_install_line(backend, line):
    error, traceback = last_error(NAME, absent=[backend], GLUONVISION_BACKEND=backend)
    assert error.startswith(f"ImportError: the {backend} backend could not be loaded")
    assert "it is not installed" in error
    assert line in error
    assert "ModuleNotFoundError" in traceback


@pytest.mark.parametrize("backend", sorted(FRAMEWORKS))
def test_a_broken_installation_is_shown_and_not_called_missing(backend, tmp_path):
    (tmp_path / backend).mkdir()
    (tmp_path / backend / "__init__.py").write_text("raise ImportError('libfoo.so: not found')")
    environment = {"PYTHONPATH": str(tmp_path), "GLUONVISION_BACKEND": backend}
    error, traceback = last_error(NAME, **environment)
    assert error.startswith(f"ImportError: the {backend} backend could not be loaded (libfoo.so")
    assert "it is installed, but its import failed" in error
    assert "pip install" not in error
    assert "ImportError: libfoo.so: not found" in traceback  # the cause, chained
    assert "direct cause" in traceback


def test_a_broken_torch_is_not_replaced_by_mxnet(tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libfoo.so: not found')")
    error, _ = last_error(NAME, PYTHONPATH=str(tmp_path))
    assert error.startswith("ImportError: the torch backend could not be loaded")


# The seam


def imported(path):
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_only_the_backend_folder_imports_a_framework():
    importing = {p for p in PACKAGE.rglob("*.py") if FRAMEWORKS & set(imported(p))}
    assert len(importing) > 5  # the backend's own
    outside = [p for p in importing if PACKAGE / "backend" not in p.parents]
    assert outside == []


def test_each_backend_folder_imports_its_framework_alone():
    for backend in FRAMEWORKS:
        for path in (PACKAGE / "backend" / backend).rglob("*.py"):
            assert not (FRAMEWORKS - {backend}) & set(imported(path)), path


VOCABULARY = """
import types
from gluonvision import backend
from gluonvision.backend import F, init, nn
print(*backend.__all__)
print(*sorted(nn.__all__))
print(*sorted(n for n, v in vars(init).items() if isinstance(v, type) and n[0].isupper()))
"""
OPERATORS = """
from gluonvision.backend import F
print(*(n for n, v in vars(F).items() if callable(v) and n[0] != "_" and n != "SimpleNamespace"))
print(*vars(F.contrib))
"""


@needs_torch
@needs_mxnet
def test_both_backends_have_the_same_vocabulary():
    torch, mxnet = (
        output(VOCABULARY, GLUONVISION_BACKEND=name).splitlines() for name in ("torch", "mxnet")
    )
    assert mxnet[:2] == torch[:2]
    own = {"Any", "Initializer", "Iterable", "Streams"}  # what the initializers are made of
    assert set(mxnet[2].split()) - own == set(torch[2].split()) - own


@needs_torch
@needs_mxnet
def test_every_operator_of_torch_is_one_of_mxnet():
    operators, contrib = output(OPERATORS, GLUONVISION_BACKEND="torch").splitlines()
    assert len(operators.split()) > 10
    check = (
        "from gluonvision.backend import F\n"
        f"print([n for n in {operators.split()} if not hasattr(F, n)],"
        f"[n for n in {contrib.split()} if not hasattr(F.contrib, n)])"
    )
    assert output(check, GLUONVISION_BACKEND="mxnet") == "[] []"
