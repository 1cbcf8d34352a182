"""The server of the page, asked over a real connection."""

import asyncio
import base64
import http.client
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import tifffile
from PIL import GifImagePlugin, Image
from starlette.requests import Request
from web_server import META, Paper, encoded, models, paper_mask, running, three_fields

from gluonvision.__main__ import main
from gluonvision.backend import cpu
from gluonvision.model_zoo.weights import store
from gluonvision.segmentation import Predictor
from gluonvision.web import (
    Limits,
    ModelEntry,
    Models,
    entries_of_runs,
    entry_of_model,
    entry_of_run,
    models_on_disk,
)
from gluonvision.web.errors import RequestError
from gluonvision.web.guard import is_loopback
from gluonvision.web.queue import Queue
from gluonvision.web.server import listen, serve
from gluonvision.web.uploads import decode_image, read_body

OWN = "deeplabv3plus_mobilenet_v2_camvid"
SMALL = Limits(upload=30_000, pixels=40_000, side=100)
STATIC = resources.files("gluonvision.web") / "static"


@pytest.fixture(scope="module")
def port():
    """A server with one model and narrow limits."""
    with running(models(), SMALL) as number:
        yield number


def ask(port, path="/api/segment", body=None, method=None, **headers):
    """Status, headers and content of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def refused(port, status, *words, **request):
    """Ask, and check that it is refused with that status and a message with those words."""
    given, headers, content = ask(port, **request)
    message = json.loads(content)["error"]
    assert given == status, message
    assert headers["content-type"] == "application/json"
    for word in words:
        assert word in message
    return headers


def labels_of(result):
    """The mask in an answer, -1 ignored."""
    packed = result["labels"]
    values = np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"])), np.uint8)
    values = values.reshape(packed["height"], packed["width"]).astype(np.int32)
    return np.where(values == 255, -1, values)


def picture_of(data_url):
    """The Pillow image in a data URL."""
    return Image.open(BytesIO(base64.b64decode(data_url.partition(",")[2])))


def test_a_picture_is_segmented(port):
    pixels = three_fields()
    pixels[:5, :20] = 255
    status, _, content = ask(port, body=encoded(pixels))
    result = json.loads(content)
    assert status == 200
    assert (result["model"], result["width"], result["height"]) == ("paper", 60, 30)
    np.testing.assert_array_equal(labels_of(result), paper_mask(pixels))
    shares = {found["name"]: found["share"] for found in result["classes"]}
    labelled = 60 * 30 - 5 * 20
    assert shares == {
        "nothing": round((60 * 10 - 5 * 20) / labelled, 6),
        **dict.fromkeys(("red_thing", "green", "blue"), round(20 * 20 / labelled, 6)),
    }
    assert result["classes"][0]["label"] == 0  # the largest comes first
    assert [found["name"] for found in result["classes"] if found["background"]] == ["nothing"]
    assert result["preview"] is None
    mask = picture_of(result["mask"])
    assert mask.mode == "P"
    np.testing.assert_array_equal(mask, np.where(paper_mask(pixels) < 0, 255, paper_mask(pixels)))


def test_a_large_picture_is_segmented_reduced_and_its_mask_scaled_back(port):
    _, _, content = ask(port, body=encoded(three_fields(300, 120)))
    result = json.loads(content)
    assert (result["width"], result["height"]) == (300, 120)
    assert labels_of(result).shape == (40, 100)
    mask = np.asarray(picture_of(result["mask"]))
    assert mask.shape == (120, 300)
    assert (mask[60, 50], mask[60, 150], mask[60, 250], mask[10, 150]) == (1, 2, 3, 0)


def test_as_they_are_with_side_0():
    with running(models(), Limits(side=0)) as port:
        _, _, content = ask(port, body=encoded(three_fields(1500, 90)))
    assert labels_of(json.loads(content)).shape == (90, 1500)


def test_programs_get_files(port):
    pixels = three_fields()
    status, headers, content = ask(port, "/api/segment?output=mask", encoded(pixels))
    assert (status, headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(Image.open(BytesIO(content)), paper_mask(pixels))
    _, _, content = ask(port, "/api/segment?output=overlay&model=paper", encoded(pixels))
    overlay = Image.open(BytesIO(content))
    assert overlay.mode == "RGB"
    assert overlay.height > 30  # the legend


def turned(form, **options):
    """A picture that is stored lying and upright by its EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(three_fields(), form, exif=exif, **options)


def two_frames():
    frames = [Image.fromarray(three_fields()), Image.new("RGB", (60, 30))]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("file", "size", "shown"),
    [
        (encoded(three_fields(), "JPEG", quality=95), (60, 30), True),
        (encoded(three_fields(), "WEBP", lossless=True), (60, 30), True),
        (encoded(three_fields(), "TIFF"), (60, 30), False),
        (two_frames(), (60, 30), False),
        (turned("JPEG", quality=95), (30, 60), True),
        (turned("PNG"), (30, 60), False),
    ],
    ids=["jpeg", "webp", "tiff", "two frames", "turned jpeg", "turned png"],
)
def test_what_browsers_show_otherwise_comes_back_as_a_preview(port, file, size, shown):
    result = json.loads(ask(port, body=file)[2])
    assert (result["width"], result["height"]) == size
    assert {found["name"] for found in result["classes"]} == {"nothing", *META.classes[1:4]}
    if shown:
        assert result["preview"] is None
    else:
        assert picture_of(result["preview"]).size == size


def test_the_frames_of_a_film_are_not_counted(monkeypatch):
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "n_frames", property(lambda _: 1 / 0))
    assert not decode_image(two_frames(), SMALL).browsers_show_it


def bomb():
    """A small PNG whose header claims a gigantic picture."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def one_tile(side):
    """A TIFF of 9x9 pixels, whose only tile is larger."""
    file = BytesIO()
    tifffile.imwrite(file, np.zeros((9, 9), np.uint8), tile=(side, side), compression="zlib")
    return file.getvalue()


BAD = {
    "text": (b"<html>no picture</html>", 415, "not a supported image"),
    "script": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not a supported image"),
    "empty": (b"", 400, "empty"),
    "truncated": (encoded(three_fields(190, 190), "JPEG")[:1500], 415, "damaged"),
    "deep": (encoded(Image.new("I;16", (9, 9))), 415, "more than 8 bits"),
    "wide": (encoded(Image.new("L", (1000, 41))), 413, "megapixels"),
    "bomb": (bomb(), 413, "megapixels"),
    "tile": (one_tile(208), 413, "megapixels"),
    "large": (bytes(30_001), 413, "0.03 MB"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_answered_with_a_message(port, name):
    body, status, words = BAD[name]
    refused(port, status, words, body=body)


def test_a_file_may_have_all_that_is_allowed(port):
    assert ask(port, body=encoded(Image.new("L", (1000, 40))))[0] == 200
    assert ask(port, body=one_tile(192))[0] == 200


def test_only_the_formats_allowed():
    with running(models(), Limits(formats=("PNG",))) as port:
        assert ask(port, body=encoded(three_fields()))[0] == 200
        refused(port, 415, "formats: PNG.", body=encoded(three_fields(), "JPEG"))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/segment?model=paperr", 404, "Choose one of: paper."),
        ("/api/segment?model=../../../etc/passwd", 404, "Choose one of: paper."),
        ("/api/segment?output=exe", 400, "json, mask, overlay"),
        ("/api/nothing", 404, "does not exist"),
    ],
)
def test_wrong_addresses(port, path, status, words):
    refused(port, status, words, path=path, body=encoded(three_fields()))


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/static/app.js", "/%2e%2e/%2e%2e/etc/passwd", "/app.py", "//"]
)
def test_no_other_file_is_served(port, path):
    refused(port, 404, path=path)


def test_wrong_methods(port):
    assert refused(port, 405, path="/api/segment")["allow"] == "POST"
    refused(port, 405, path="/", body=b"x")


def connect(port, *lines):
    """A connection on which a request's head was sent, and nothing of its body."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = ("POST /api/segment HTTP/1.1", "Host: localhost", *lines, "", "")
    connection.sendall("\r\n".join(head).encode())
    return connection


def status_line(connection):
    return connection.makefile("rb").readline().decode().split()[1]


def test_an_announced_upload_that_is_too_large_is_refused_before_it_is_sent(port):
    with connect(port, "Content-Length: 9000000000") as connection:
        assert status_line(connection) == "413"


def test_an_endless_upload_is_refused_at_its_first_byte_too_many(port):
    with connect(port, "Transfer-Encoding: chunked") as connection:
        connection.sendall(b"7530\r\n" + bytes(30_000) + b"\r\n")
        connection.sendall(b"1\r\nx\r\n")
        assert status_line(connection) == "413"


def test_an_upload_that_is_given_up_is_no_fault_of_the_server():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(RequestError, match="cancelled") as refusal:
        asyncio.run(read_body(Request({"type": "http", "headers": []}, receive), SMALL))
    assert refusal.value.status == 499


def test_an_upload_that_does_not_end_is_refused():
    with (
        running(models(), Limits(upload_seconds=0.05)) as port,
        connect(port, "Content-Length: 9") as connection,
    ):
        assert status_line(connection) == "408"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9", "127.0.0.1:8000", "127.5.4.3", "[::1]:8000"]
)
def test_loopback_hosts_are_answered(port, host):
    assert ask(port, "/", Host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example:8000",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2",
        "",
    ],
)
def test_other_hosts_are_refused(port, host):
    refused(port, 421, "--allow-host", path="/", Host=host)
    refused(port, 421, body=encoded(three_fields()), Host=host)


def test_hosts_that_are_allowed():
    with running(models(), hosts=["Seg.Example"]) as port:
        assert ask(port, "/", Host="seg.example:80")[0] == 200
        refused(port, 421, path="/", Host="other.example")
    with running(models(), hosts=None) as port:
        assert ask(port, "/", Host="any.example")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "file://"])
def test_other_sites_pages_are_refused(port, origin):
    refused(port, 403, body=encoded(three_fields()), Origin=origin)


def test_its_own_page_is_answered_and_no_other_is_let_in(port):
    own = {"Origin": f"http://127.0.0.1:{port}"}
    status, headers, _ = ask(port, body=encoded(three_fields()), **own)
    assert status == 200
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert ask(port, body=b"", method="OPTIONS")[0] == 405


def test_every_answer_has_the_headers_that_browsers_heed(port):
    answers = [ask(port, path) for path in ("/", "/app.js", "/style.css", "/icon.svg", "/no")]
    answers.append(ask(port, "/", Host="evil.example"))
    for _, headers, _ in answers:
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
    types = [headers["content-type"].partition(";")[0] for _, headers, _ in answers[:4]]
    assert types == ["text/html", "text/javascript", "text/css", "image/svg+xml"]


def test_the_page_asks_nothing_of_others_and_has_no_inline_code():
    for file in STATIC.iterdir():
        if file.name.endswith((".html", ".css", ".js")):
            assert not re.search(
                r"https?://|//\w+\.\w|@import|url\((?!#)", file.read_text(encoding="utf-8")
            )
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="app.js">']
    assert not re.search(r"\son\w+=|\sstyle=|<style", page)


def test_the_list_of_models():
    with running(models("one", "two"), SMALL) as port:
        listed = json.loads(ask(port, "/api/models")[2])
        result = json.loads(ask(port, "/api/segment?model=two", encoded(three_fields()))[2])
    assert [model["name"] for model in listed["models"]] == ["one", "two"]
    assert listed["models"][0]["classes"] == list(META.classes)
    assert listed["limits"]["upload"] == 30_000
    assert result["model"] == "two"


def test_many_at_once_are_segmented_one_after_another():
    paper = Paper()
    pictures = [np.full((9, 9, 3), np.eye(3)[i % 3] * 250, np.uint8) for i in range(12)]
    with running(models("a", "b", load=lambda source: paper)) as port:

        def found(number):
            path = f"/api/segment?model={'ab'[number % 2]}"
            return json.loads(ask(port, path, encoded(pictures[number]))[2])["classes"]

        paper.may_go.clear()
        with ThreadPoolExecutor(12) as pool:
            results = pool.map(found, range(12))
            assert paper.entered.wait(30)
            # Others would enter beside the first while the page is asked for.
            assert {ask(port, "/")[0] for _ in range(10)} == {200}
            paper.may_go.set()
            results = list(results)
    assert [classes[0]["label"] for classes in results] == [i % 3 + 1 for i in range(12)]
    assert paper.most == 1


def test_when_every_place_is_taken_the_next_is_told_to_come_again():
    paper, body = Paper(), encoded(three_fields())
    paper.may_go.clear()
    with running(models(load=lambda source: paper), Limits(waiting=1)) as port:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(ask, port, body=body)
            try:
                assert paper.entered.wait(30)
                headers = refused(port, 503, "busy", body=body)
                assert int(headers["retry-after"]) >= 1
                # Nothing of a body is read for which there is no place.
                with connect(port, "Content-Length: 1000") as connection:
                    assert status_line(connection) == "503"
                assert ask(port, "/")[0] == 200
            finally:
                paper.may_go.set()
            assert first.result()[0] == 200
        assert ask(port, body=body)[0] == 200
        refused(port, 415, body=b"no picture")
        assert ask(port, body=body)[0] == 200  # a refusal gives its place back


def test_who_has_gone_away_is_not_waited_for():
    may_go, calls = threading.Event(), []

    async def one_gone_away():
        queue, gone, open_ = Queue(2), asyncio.Event(), asyncio.Event()

        def request(closed):
            async def receive():
                await closed.wait()
                return {"type": "http.disconnect"}

            return SimpleNamespace(receive=receive)

        first = asyncio.ensure_future(queue.run(request(open_), lambda: may_go.wait(30)))
        second = asyncio.ensure_future(queue.run(request(gone), lambda: calls.append(2)))
        await asyncio.sleep(0)
        gone.set()
        assert await second is None
        may_go.set()
        assert await first is True
        await queue.run(request(open_), lambda: calls.append(3))
        queue.close()

    asyncio.run(one_gone_away())
    assert calls == [3]


def test_a_fault_of_the_server_is_told_without_its_insides(caplog):
    def broken(source):
        raise RuntimeError("a secret")

    with running(models(load=broken)) as port:
        headers = refused(port, 500, "The server failed", body=encoded(three_fields()))
        assert headers["x-content-type-options"] == "nosniff"
        assert b"secret" not in ask(port, body=encoded(three_fields()))[2]
        assert ask(port, "/")[0] == 200


def test_a_bounded_number_of_models_is_held():
    loaded = []
    held = models("a", "b", "c", load=lambda source: loaded.append(source) or source, keep=2)
    assert [held.get(name) for name in "abacab"] == list("abacab")
    assert loaded == list("abcb")  # c took the place of b, which was used longer ago than a
    assert held.default == "a"
    with pytest.raises(RequestError, match="Choose one of: a, b, c"):
        held.find("d")


def test_models_that_cannot_be_offered(tmp_path):
    with pytest.raises(ValueError, match="got a, a, expected at least one, each name once"):
        models("a", "a")
    with pytest.raises(ValueError, match="got none, expected"):
        Models([], load=None)
    with pytest.raises(ValueError, match="keep is 0"):
        models(keep=0)
    with pytest.raises(ValueError, match="fcn_resnet101_voc"):
        entry_of_model("fcn_resnet101_vok")
    with pytest.raises(FileNotFoundError, match="expects the weights of a run"):
        entry_of_run(tmp_path / "checkpoint.params")


def test_a_run_is_called_by_its_folder(tmp_path):
    run = tmp_path / "mine"
    run.mkdir()
    for name in ("checkpoint.params", "best.params", "config.json"):
        (run / name).touch()
    assert entry_of_run(run).name == entry_of_run(run / "checkpoint.params").name == "mine"
    assert entry_of_run(run).source == run / "checkpoint.params"
    assert entry_of_run(run / "best.params").name == "mine/best"


def test_runs_of_one_name_are_called_by_more_folders(tmp_path):
    runs = [tmp_path / name for name in ("a/fcn/default", "a/psp/default", "b/psp/default")]
    for run in runs:
        run.mkdir(parents=True)
        for name in ("checkpoint.params", "config.json"):
            (run / name).touch()

    def names(some):
        return [entry.name for entry in entries_of_runs(some)]

    assert names(runs[:1]) == ["default"]
    assert names(runs[:2]) == ["fcn/default", "psp/default"]
    assert names(runs) == ["a/fcn/default", "a/psp/default", "b/psp/default"]
    with pytest.raises(ValueError, match="each name once"):
        Models(entries_of_runs([runs[0], runs[0]]), load=None)


def test_the_models_on_this_machine_are_offered(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUONVISION_HOME", str(tmp_path))
    assert [entry.name for entry in models_on_disk()] == [OWN]
    (tmp_path / "models").mkdir()
    file = store.get_weights("psp_resnet101_ade")[0].file
    (tmp_path / "models" / file).touch()
    entries = models_on_disk()
    assert [entry.name for entry in entries] == [OWN, "psp_resnet101_ade"]
    assert len(entries[1].classes) == 150
    assert "mIoU 43.3 on ADE20K val" in entries[1].about


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"upload": 0}, "upload is 0"),
        ({"waiting": 0}, "waiting is 0"),
        ({"side": -1}, "side is -1"),
        ({"formats": ("PNG", "EPS")}, "formats: got EPS, expected some of JPEG"),
        ({"formats": ()}, "formats: got none"),
    ],
)
def test_limits_that_let_nothing_through(wrong, words):
    with pytest.raises(ValueError, match=words):
        Limits(**wrong)


@pytest.mark.parametrize("option", ["--max-upload", "--max-pixels"])
@pytest.mark.parametrize("value", ["inf", "nan", "many"])
def test_a_limit_is_a_number(option, value, capsys):
    with pytest.raises(SystemExit):
        main(["serve", option, value])
    assert f"{option}: {value}: expected a number" in capsys.readouterr().err


def test_an_address_that_cannot_be_had_says_what_to_do(capsys):
    with listen("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {number} of 127.0.0.1 is in use; .* --port 0"):
            serve(models(load=None), port=number)
        assert main(["serve", "--port", str(number)]) == 1
    assert "is in use" in capsys.readouterr().err
    with pytest.raises(OSError, match="--host must be an address of this machine"):
        listen("no such host", 0)
    with pytest.raises(OSError, match="cannot listen at 127.0.0.1, port 99999"):
        listen("127.0.0.1", 99999)


def test_what_is_a_loopback_name():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.9.9.9", "::1"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.1.1.1", "localhost.example", ""]))


def test_the_command_serves_the_models_on_this_machine():
    command = [sys.executable, "-m", "gluonvision", "serve", "--port", "0", "--no-cuda"]
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])
            result = json.loads(ask(port, body=encoded(pixels))[2])
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(30)
    assert result["model"] == OWN
    expected = Predictor.load(OWN, device=cpu())(pixels)
    np.testing.assert_array_equal(labels_of(result), expected.mask)
    assert code in (0, 130)


def test_offers_are_described():
    entry = entry_of_model(OWN)
    assert isinstance(entry, ModelEntry)
    assert entry.classes[:2] == ("sky", "building")
    assert "mIoU 74.6" in entry.about
