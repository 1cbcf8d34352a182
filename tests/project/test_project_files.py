"""Files about the project agree with each other and with the tree."""

import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import gluonvision

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def make_targets():
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def test_pre_commit_runs_the_versions_of_make_check():
    pins = dict(re.findall(r"^(\S+)==(\S+)$", read("constraints.txt"), re.MULTILINE))
    repos = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    revisions = {repo["repo"].rsplit("/", 1)[1]: repo["rev"] for repo in repos}
    assert revisions["ruff-pre-commit"] == f"v{pins['ruff']}"


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r"^## \[(.*?)\](?: - (\S+))?$", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == gluonvision.__version__
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", date) for _, date in versions[1:])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_that_exist(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    targets = {t for job in jobs for t in job["strategy"]["matrix"].get("target", [])}
    assert targets <= make_targets()


def test_contributing_has_every_make_target():
    named = set(re.findall(r"^\| `make ([a-z-]+)` \|", read("CONTRIBUTING.md"), re.MULTILINE))
    assert named == make_targets()


def test_contributing_has_every_package():
    listed = re.findall(r"^\| `gluonvision/(\w+)` \|", read("CONTRIBUTING.md"), re.MULTILINE)
    assert sorted(listed) == [m.name for m in pkgutil.iter_modules(gluonvision.__path__) if m.ispkg]


def test_contributing_names_paths_that_exist():
    named = r"`((?:gluonvision|tests|docs|scripts|recipes|benchmarks)/[\w./]*)`"
    for path in re.findall(named, read("CONTRIBUTING.md")):
        assert (ROOT / path).exists(), path


def test_contributing_names_tables_that_exist():
    named = re.findall(r"`(\w+)` in `([\w./]+\.py)`", read("CONTRIBUTING.md"))
    assert len(named) > 5
    for name, path in named:
        assert re.search(rf"^(?:class |def )?{name}\b", read(path), re.MULTILINE), (
            f"{name} in {path}"
        )


def test_quick_names_paths_that_exist():
    quick = re.search(r"^QUICK := ((?:.*\\\n)*.*)$", read("Makefile"), re.MULTILINE)[1]
    for path in quick.replace("\\\n", " ").split():
        assert (ROOT / path).exists(), path


PACKAGES = [
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in sorted((ROOT / "gluonvision").rglob("__init__.py"))
]


@pytest.mark.parametrize("name", [p for p in PACKAGES if not p.startswith("gluonvision.backend.")])
def test_no_function_hides_a_module(name):
    package = pytest.importorskip(name)
    for module in pkgutil.iter_modules(package.__path__):
        assert inspect.ismodule(getattr(package, module.name, inspect)), module.name
