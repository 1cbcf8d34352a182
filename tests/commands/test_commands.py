"""The command line: its overview, what it costs to ask for help, how mistakes are told."""

import hashlib
import os
import subprocess
import sys

import pytest

from gluonvision import __main__ as command_line
from gluonvision.__main__ import main
from gluonvision.model_zoo import list_models
from gluonvision.model_zoo.weights.store import OWN_FILES
from gluonvision.model_zoo.weights.table import BACKBONES, Weights
from gluonvision.utils.errors import is_user_error

HEAVY = "{'torch', 'mxnet', 'numpy', 'cv2', 'PIL', 'tqdm'}"


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_help_imports_no_framework_and_nothing_heavy(arguments):
    code = (
        "import sys, gluonvision.__main__ as program\n"
        f"try: code = program.main({arguments!r})\n"
        "except SystemExit as end: code = end.code\n"
        f"sys.exit(code or bool({HEAVY} & set(sys.modules)))"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "gluonvision" in done.stdout


def test_the_overview_lists_every_command(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    for name, summary in command_line._COMMANDS.items():
        assert f"  {name} " in said and summary in said
    for line in command_line._EXAMPLES:
        assert line.split()[0] in command_line._COMMANDS


@pytest.mark.parametrize("name", command_line._COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0 and said.startswith("usage: ") and f" {name} " in said
    assert "(default: None)" not in said and "(default: [])" not in said


@pytest.mark.parametrize(
    ("typed", "told"), [("trian", "did you mean train?"), ("fly", "expected one of prepare, ")]
)
def test_an_unknown_command_is_answered_with_those_that_there_are(typed, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main([typed, "--option"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and told in said and repr(typed) in said


@pytest.mark.parametrize("typed", ["--epocs=3", "--epocs"])
def test_an_unknown_option_is_answered_with_that_which_it_is_nearly(typed, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", typed])
    assert ended.value.code == 2
    assert "unrecognized arguments: --epocs" in (told := capsys.readouterr().err)
    assert "did you mean --epochs?" in told


def test_a_wrong_backend_is_told_in_a_line():
    code = "import sys; from gluonvision.__main__ import main; sys.exit(main(['bench']))"
    done = python(code, GLUONVISION_BACKEND="tf")
    assert done.returncode == 1
    assert done.stderr.startswith("error: GLUONVISION_BACKEND='tf': expected 'torch' or 'mxnet'")
    assert "Traceback" not in done.stderr
    done = python(code, GLUONVISION_BACKEND="tf", GLUONVISION_TRACEBACK="1")
    assert "Traceback" in done.stderr


def test_a_reader_that_has_had_enough_is_no_error():
    code = (
        "import argparse, sys, types\n"
        "from gluonvision.__main__ import main\n"
        "talk = types.SimpleNamespace(__doc__='', add_arguments=lambda parser: None)\n"
        "talk.run = lambda options: [print('x' * 9999) for _ in range(99)] and None\n"
        "sys.modules['gluonvision.commands.bench'] = talk\n"
        "sys.exit(main(['bench']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait() == 141 and said == ""


def test_errors_that_say_what_to_install_are_told_in_a_line_and_broken_packages_are_not():
    assert is_user_error(ImportError("gluonvision needs PyTorch (pip install torch)"))
    assert not is_user_error(ImportError("no module named x", name="x"))
    broken = ImportError("the torch backend could not be loaded")
    broken.__cause__ = ImportError("libfoo.so")
    assert not is_user_error(broken)
    assert not is_user_error(TypeError("ours"))


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder of weights with one of MobileNetV2's in it, whose hash is known."""
    content = b"weights"
    known = f"sha256:{hashlib.sha256(content).hexdigest()}"
    row = Weights("tiny.pth", "torchvision", known, ("https://host/tiny.pth",), "BSD-3-Clause")
    monkeypatch.setitem(BACKBONES, "mobilenet_v2", (row,))
    (tmp_path / "tiny.pth").write_bytes(content)
    return tmp_path


class TestModels:
    def test_all_are_listed_with_what_is_known_of_them(self, store, capsys):
        assert main(["models", "--root", str(store)]) == 0
        lines = capsys.readouterr().out.splitlines()
        rows = {line.split()[0]: line for line in lines[1:] if line}
        assert set(list_models()) <= set(rows)
        assert (
            "mIoU 66.2" in rows["fcn_resnet101_coco"] and "Apache-2.0" in rows["psp_resnet101_voc"]
        )
        assert rows["deeplabv3plus_mobilenet_v2_camvid"].endswith("5.7 MB, in the package")
        assert rows["mobilenet_v2"].endswith("0.0 MB, downloaded")
        assert rows["fcn_resnet50_voc"].endswith("none published")
        assert rows["fcn_resnet50_ade"].endswith("not downloaded")

    @pytest.mark.parametrize("pattern", ["psp_*", "psp"])
    def test_a_pattern_or_a_part_of_a_name_lists_those(self, pattern, store, capsys):
        assert main(["models", pattern, "--root", str(store)]) == 0
        names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:] if line]
        assert [name for name in names if name in list_models()] == list_models("psp_*")

    def test_a_name_shows_its_card(self, store, capsys):
        assert main(["models", "mobilenet_v2", "--root", str(store)]) == 0
        said = capsys.readouterr().out
        assert "3.50 M parameters" in said and "https://host/tiny.pth" in said
        assert f"path      {store / 'tiny.pth'}" in said
        assert main(["models", "deeplabv3plus_mobilenet_v2_camvid"]) == 0
        card = OWN_FILES / "deeplabv3plus_mobilenet_v2_camvid.md"
        assert capsys.readouterr().out.strip() == card.read_text(encoding="utf-8").strip()

    def test_verify_finds_what_is_damaged(self, store, capsys):
        assert main(["models", "--verify", "--root", str(store)]) == 0
        assert "2 weights files checked, 0 damaged" in capsys.readouterr().out
        (store / "tiny.pth").write_bytes(b"weighty")
        assert main(["models", "--verify", "--root", str(store)]) == 1
        said = capsys.readouterr().out
        assert (
            "tiny.pth: the file has sha256" in said and "2 weights files checked, 1 damaged" in said
        )

    def test_no_such_name(self, capsys):
        assert main(["models", "nothing"]) == 1
        assert "'nothing'" in capsys.readouterr().err
