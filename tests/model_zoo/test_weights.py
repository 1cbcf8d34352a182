"""The store of weights: its table, its folder, and MXNet's zips, from a server on loopback."""

import dataclasses
import hashlib
import http.server
import importlib.util
import io
import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from gluonvision.model_zoo.weights import store as store
from gluonvision.model_zoo.weights.store import (
    OWN_FILES,
    WeightsFile,
    find_weights,
    get_weights,
    list_weights,
    live_backbones,
    weights_folder,
)
from gluonvision.model_zoo.weights.table import BACKBONES, SEGMENTATION, Weights
from gluonvision.utils.download import DownloadError

PARAMS = bytes(range(256)) * 40
FILE = "tiny-" + hashlib.sha1(PARAMS).hexdigest()[:8] + ".params"
ZIP = FILE.replace(".params", ".zip")
ALL = {**BACKBONES, **SEGMENTATION}


def make_zip(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return buffer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        body = self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests = {}, []
        server.base = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def tiny(server, monkeypatch):
    """A model `tiny` in the table: a zip of MXNet's on two mirrors, then a torchvision file."""
    checksum = "sha1:" + hashlib.sha1(PARAMS).hexdigest()
    zips = tuple(f"{server.base}{host}/gluon/models/{ZIP}" for host in "ab")
    pth = "sha256:" + hashlib.sha256(b"pth").hexdigest()[:8]
    choices = (
        Weights(FILE, "gluoncv", checksum, zips, "Apache-2.0"),
        Weights("tiny.pth", "torchvision", pth, (f"{server.base}tiny.pth",), "BSD-3-Clause"),
    )
    monkeypatch.setitem(BACKBONES, "tiny", choices)
    monkeypatch.delenv("MXNET_GLUON_REPO", raising=False)
    return choices


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_zip_is_unpacked_and_removed(server, tiny, tmp_path):
    server.files[f"/a/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    found = find_weights("tiny", tmp_path)
    assert found == WeightsFile(tmp_path / FILE, "gluoncv")
    assert found.path.read_bytes() == PARAMS
    assert names(tmp_path) == [FILE]


def test_second_call_needs_no_network(server, tiny, tmp_path):
    server.files[f"/a/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    find_weights("tiny", tmp_path)
    find_weights("tiny", tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "bad",
    [
        make_zip({FILE: PARAMS})[:-30],
        make_zip({FILE: b"other weights"}),
        make_zip({"other.params": PARAMS}),
        make_zip({f"../{FILE}": PARAMS}),
        make_zip({f"/{FILE}": PARAMS}),
        b"no zip at all",
        b"",
        b"<html>Gone</html>",
    ],
    ids=["cut", "sha1", "member", "slip", "absolute", "text", "empty", "page"],
)
def test_bad_zip_falls_to_the_next_mirror(server, tiny, tmp_path, bad):
    folder = tmp_path / "in" / "models"
    server.files[f"/a/gluon/models/{ZIP}"] = bad
    server.files[f"/b/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    assert find_weights("tiny", folder).path.read_bytes() == PARAMS
    assert names(folder) == [FILE]
    assert names(tmp_path) == ["in"]
    assert names(tmp_path / "in") == ["models"]


def test_nothing_but_the_one_member_is_unpacked(server, tiny, tmp_path):
    folder = tmp_path / "in" / "models"
    evil = {"../evil": b"x", "/tmp/evil-gluonvision": b"x", "more": b"x", FILE: PARAMS}
    server.files[f"/a/gluon/models/{ZIP}"] = make_zip(evil)
    find_weights("tiny", folder)
    assert names(folder) == [FILE]
    assert names(tmp_path / "in") == ["models"]


def test_a_bomb_is_refused(server, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_UNPACKED", len(PARAMS) - 1)
    server.files[f"/a/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    with pytest.raises(DownloadError, match=f"unpacks to {len(PARAMS)} bytes"):
        find_weights("tiny", tmp_path)


def test_next_file_when_all_mirrors_of_one_fail(server, tiny, tmp_path, caplog):
    server.files["/tiny.pth"] = b"pth"
    assert find_weights("tiny", tmp_path) == WeightsFile(tmp_path / "tiny.pth", "torchvision")
    assert FILE in caplog.text


def test_mxnet_gluon_repo_replaces_the_bucket(server, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("MXNET_GLUON_REPO", server.base + "mine")
    server.files[f"/mine/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    find_weights("tiny", tmp_path)
    assert server.requests == [f"/mine/gluon/models/{ZIP}"]


@pytest.mark.parametrize(
    ("file", "content", "form"),
    [(FILE, PARAMS, "gluoncv"), ("tiny.pth", b"pth", "torchvision")],
)
def test_file_put_by_hand(server, tiny, tmp_path, file, content, form):
    (tmp_path / file).write_bytes(content)
    assert find_weights("tiny", tmp_path) == WeightsFile(tmp_path / file, form)
    assert server.requests == []


def test_zip_put_by_hand_is_used_and_kept(server, tiny, tmp_path):
    (tmp_path / ZIP).write_bytes(make_zip({FILE: PARAMS}))
    assert find_weights("tiny", tmp_path).path.read_bytes() == PARAMS
    assert server.requests == []
    assert names(tmp_path) == [FILE, ZIP]


def test_wrong_file_put_by_hand_is_named_and_replaced(server, tiny, tmp_path, caplog):
    (tmp_path / FILE).write_bytes(b"half a download")
    server.files[f"/a/gluon/models/{ZIP}"] = make_zip({FILE: PARAMS})
    assert find_weights("tiny", tmp_path).path.read_bytes() == PARAMS
    assert str(tmp_path / FILE) in caplog.text


def test_error_says_all(server, tiny, tmp_path):
    with pytest.raises(DownloadError) as failed:
        find_weights("tiny", tmp_path)
    message = str(failed.value)
    mirrors = [url for each in tiny for url in each.mirrors]
    for part in (*mirrors, "404", FILE, ZIP, "tiny.pth", str(tmp_path), "MXNET_GLUON_REPO"):
        assert part in message
    assert [url for url, _ in failed.value.failures] == mirrors
    assert "pretrained_base=False" in message.splitlines()[-1]
    alive = message.splitlines()[-2]
    assert "resnet50_v1b" in alive
    assert "mobilenet_v2" in alive
    assert "dilated_resnet50" not in alive
    assert "tiny" not in alive
    assert names(tmp_path) == []


def test_folder(monkeypatch, tmp_path):
    for name in ("GLUONVISION_HOME", "MXNET_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert weights_folder() == tmp_path / ".mxnet" / "models"
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "mx"))
    assert weights_folder() == tmp_path / "mx" / "models"
    monkeypatch.setenv("GLUONVISION_HOME", "~/ours")
    assert weights_folder() == tmp_path / "ours" / "models"
    assert weights_folder("~/given") == tmp_path / "given"


def test_offline_folder_from_the_environment(server, tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("GLUONVISION_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / FILE).write_bytes(PARAMS)
    assert find_weights("tiny").path == tmp_path / "models" / FILE


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_aliases_of_the_dilated_resnets(depth):
    expected = get_weights(f"dilated_resnet{depth}")
    assert get_weights(f"resnet{depth}") == get_weights(f"resnet{depth}_v2") == expected


def test_unknown_name():
    with pytest.raises(ValueError, match=r"'resnet50_v1x'\. Did you mean .*resnet50_v1b") as failed:
        find_weights("resnet50_v1x")
    assert "psp_resnet101_citys" in str(failed.value)


@pytest.mark.parametrize("name", ["fcn_resnet50_voc", "resnet18_v1s", "resnet34_v1s"])
def test_unpublished_name(name):
    with pytest.raises(ValueError, match=f"no weights were published for '{name}'"):
        find_weights(name)


def test_table_is_whole():
    sizes = ["18", "34", "50", "101", "152"]
    assert {f"dilated_resnet{n}" for n in sizes} <= set(BACKBONES)
    assert {f"resnet{n}_v1b" for n in sizes} <= set(BACKBONES)
    assert {f"resnet{n}_v1s" for n in sizes[2:]} <= set(BACKBONES)
    gluoncv = [name for name in SEGMENTATION if SEGMENTATION[name][0].format == "gluoncv"]
    assert len(gluoncv) == 17
    assert list_weights() == sorted(ALL)
    assert set(live_backbones()) == {n for n in BACKBONES if not n.startswith("dilated")}


ROWS = [(name, each) for name, choices in ALL.items() for each in choices]


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}-{row.file}" for name, row in ROWS])
def test_row_is_sound(name, row):
    is_own = row.format == "gluonvision"
    assert bool(row.mirrors) != is_own
    assert (OWN_FILES / row.file).is_file() == is_own
    assert all(url.startswith("https://") for url in row.mirrors)
    assert row.format in ("gluonvision", "gluoncv", "mxnet-zoo", "torchvision", "timm")
    assert row.licence
    digits = (row.checksum or "").partition(":")[2]
    if row.checksum is None:
        assert row.mirrors[0].startswith("https://huggingface.co/")
    elif suffix := re.search(r"-([0-9a-f]{8})\.(params|pth)$", row.file):
        assert digits.startswith(suffix.group(1))
    if row.score is not None:
        assert 0 < row.score.value < 100
        assert row.score.metric == ("top-1" if name in BACKBONES else "mIoU")


def test_files_have_names_of_their_own():
    assert len({row.file for _, row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("package", "form", "path"),
    [
        ("mxnet", "mxnet-zoo", "gluon/model_zoo/model_store.py"),
        ("gluoncv", "gluoncv", "model_zoo/model_store.py"),
    ],
)
def test_checksums_are_those_of_the_publisher(package, form, path):
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    # Read, not imported: importing these needs an old NumPy.
    text = (Path(found.submodule_search_locations[0]) / path).read_text()
    known = {name: sha1 for sha1, name in re.findall(r"\('([0-9a-f]{40})', '([^']+)'\)", text)}
    ours = [row for _, row in ROWS if row.format == form]
    assert ours
    for row in ours:
        assert row.checksum == "sha1:" + known[row.file.rsplit("-", 1)[0]]


def test_rows_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROWS[0][1].file = "other"


def test_store_loads_no_framework_and_writes_nothing(tmp_path):
    # The package imports the models, and they the backend: the store is loaded without it.
    code = (
        "import sys, types, gluonvision\n"
        "package = types.ModuleType('gluonvision.model_zoo')\n"
        "package.__path__ = [gluonvision.__path__[0] + '/model_zoo']\n"
        "sys.modules[package.__name__] = package\n"
        "import gluonvision.model_zoo.weights.store\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mxnet', 'numpy')))"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    assert names(tmp_path) == []
