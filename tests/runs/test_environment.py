"""What a run notes of where it ran, in checkouts, outside them, and with a git that fails."""

import datetime
import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

import gluonvision
from gluonvision.data.transforms import warp
from gluonvision.runs import environment
from gluonvision.runs.environment import describe_environment

IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(folder, *arguments):
    done = subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A working folder with one commit of one file."""
    # A test that is started by a git hook inherits the hook's repository.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("as it was\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def working_folder():
    return describe_environment()["git"]["working_folder"]


def test_it_is_plain_json():
    found = describe_environment()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_versions():
    packages = describe_environment()["packages"]
    assert packages["gluonvision"] == gluonvision.__version__
    assert packages["numpy"] == metadata.version("numpy")
    assert packages["pillow"] == metadata.version("Pillow")
    assert packages["opencv"].count(".") >= 2


def test_who_makes_the_crops(monkeypatch):
    for compiled in (None, object()):
        monkeypatch.setattr(warp, "_compiled", compiled)
        assert describe_environment()["compiled_warp"] == (compiled is not None)


def test_what_is_not_installed_is_none(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    packages = describe_environment()["packages"]
    assert packages.pop("gluonvision") and set(packages.values()) == {None}


def test_another_wheel_of_the_same_package_counts(monkeypatch):
    def only_contrib(name):
        if name != "opencv-contrib-python":
            raise metadata.PackageNotFoundError(name)
        return "4.1.2"

    monkeypatch.setattr(metadata, "version", only_contrib)
    assert describe_environment()["packages"]["opencv"] == "4.1.2"


def test_machine_and_moment():
    before = datetime.datetime.now().astimezone().replace(microsecond=0)
    found = describe_environment()
    started = datetime.datetime.fromisoformat(found["started"])
    assert before <= started <= datetime.datetime.now().astimezone()
    assert found["cpu_count"] == os.cpu_count()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_command_line_is_what_was_typed():
    code = "from gluonvision.runs.environment import *; "
    code += "import json; print(json.dumps(describe_environment()['command_line']))"
    arguments = [sys.executable, "-W", "ignore", "-c", code, "--lr", "0.1"]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == arguments


def test_no_environment_variable_is_told(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "this-is-secret")
    assert "this-is-secret" not in json.dumps(describe_environment())


class TestGit:
    def test_clean_checkout(self, checkout):
        assert working_folder() == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}

    def test_a_changed_file_makes_it_dirty(self, checkout):
        (checkout / "file").write_text("changed\n")
        assert working_folder()["dirty"] is True

    def test_results_of_runs_do_not(self, checkout):
        (checkout / "runs").mkdir()
        (checkout / "runs" / "log").write_text("new\n")
        assert working_folder()["dirty"] is False

    def test_no_checkout(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert working_folder() is None

    def test_checkout_without_a_commit(self, tmp_path, monkeypatch):
        git(tmp_path, "init", "--quiet")
        monkeypatch.chdir(tmp_path)
        assert working_folder() is None

    def test_no_git(self, checkout, monkeypatch):
        monkeypatch.setenv("PATH", str(checkout))
        assert describe_environment()["git"] == {"gluonvision": None, "working_folder": None}

    def test_a_git_that_hangs(self, checkout, monkeypatch):
        def hangs(command, timeout, **_):
            raise subprocess.TimeoutExpired(command, timeout)

        monkeypatch.setattr(subprocess, "run", hangs)
        assert working_folder() is None

    def test_another_repository_of_a_hook_is_not_asked(self, checkout, monkeypatch):
        commit = git(checkout, "rev-parse", "HEAD")
        monkeypatch.setenv("GIT_DIR", str(checkout / "elsewhere"))
        assert working_folder()["commit"] == commit

    def test_the_source_has_its_own_commit(self, checkout, monkeypatch):
        source = checkout / "package" / "environment.py"
        source.parent.mkdir()
        source.write_text("")
        monkeypatch.setattr(environment, "__file__", str(source))
        monkeypatch.chdir("/")
        # Untracked, as an installation in a project's virtual environment is.
        assert describe_environment()["git"]["gluonvision"] is None
        git(checkout, "add", "package")
        git(checkout, "commit", "--quiet", "--message", "second")
        found = describe_environment()["git"]["gluonvision"]
        assert found == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}

    def test_a_working_folder_that_was_removed(self, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        try:
            assert working_folder() is None
        finally:
            os.chdir(tmp_path)
