"""The downloader against a real HTTP server on loopback that misbehaves in every known way."""

import hashlib
import http.server
import random
import re
import signal
import subprocess
import sys
import threading

import pytest

from gluonvision.utils import download as download_module
from gluonvision.utils.download import DownloadError, download

BODY = random.Random(0).randbytes(1 << 20)
HALF = len(BODY) // 2
SHA1 = "sha1:" + hashlib.sha1(BODY).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"

CLIENT = """
import logging, sys
from gluonvision.utils import download as module
logging.basicConfig(level=logging.INFO)
chunks = module._chunks
def told(*args):
    got = 0
    for chunk in chunks(*args):
        yield chunk
        got += len(chunk)
        print(got, flush=True)
module._chunks = told
module.download(sys.argv[1], sys.argv[2], checksum=sys.argv[3])
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """One method a misbehaviour; the path of the request names it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1].removesuffix(".bin")
        skip = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.server.requests.append((name, int(skip.group(1)) if skip else 0))
        self.server.arrived.set()
        getattr(self, name)(int(skip.group(1)) if skip else 0)
        self.close_connection = True

    def log_message(self, *args):
        pass

    def send(self, body, *, status=200, length=None, kind="application/octet-stream", extent=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if extent:
            self.send_header("Content-Range", extent)
        self.end_headers()
        self.put(body)

    def put(self, body):
        self.wfile.write(body)
        self.wfile.flush()
        self.server.sent += len(body)

    def send_from(self, skip, body, length=None):
        extent = f"bytes {skip}-{len(BODY) - 1}/{len(BODY)}" if skip else None
        self.send(body, status=206 if skip else 200, length=length, extent=extent)

    def good(self, skip):
        if skip >= len(BODY):
            return self.send(b"", status=416, extent=f"bytes */{len(BODY)}")
        return self.send_from(skip, BODY[skip:])

    def no_range(self, skip):
        self.send(BODY)

    def other_range(self, skip):
        wrong = 7 if skip else 0
        extent = f"bytes {wrong}-{len(BODY) - 1}/{len(BODY)}" if skip else None
        self.send(BODY[wrong:], status=206 if skip else 200, extent=extent)

    def truncated(self, skip):
        self.send(BODY[:HALF], length=len(BODY))

    def breaks_once(self, skip):
        self.send_from(skip, BODY[skip:] if skip else BODY[:HALF], length=len(BODY) - skip)

    def corrupt(self, skip):
        self.send_from(skip, bytes(len(BODY) - skip))

    def stalled(self, skip):
        self.send_from(skip, BODY[skip : skip + 1000], length=len(BODY) - skip)
        self.server.release.wait()

    def held_at_half(self, skip):
        self.send_from(skip, BODY[skip : max(skip, HALF)], length=len(BODY) - skip)
        self.server.release.wait()
        self.put(BODY[max(skip, HALF) :])

    def silent(self, skip):
        self.server.release.wait()

    def missing(self, skip):
        self.send(b"no such file", status=404)

    def page(self, skip):
        self.send(PAGE, kind="text/html; charset=utf-8")

    def hidden_page(self, skip):
        self.send(PAGE)

    def chunked(self, skip):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n")

    def moved(self, skip):
        self.send_response(302)
        self.send_header("Location", "/good.bin")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.sent = 0
        self.arrived = threading.Event()
        self.release = threading.Event()

    def handle_error(self, request, client_address):
        pass

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}.bin"


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "file.bin"


def is_alone(path):
    """True if nothing but the file itself is in its folder: no part, no lock."""
    return [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("checksum", [SHA1, SHA256, SHA1[:13], SHA1[:5] + SHA1[5:].upper(), None])
def test_whole_file(server, path, checksum):
    assert download(server.url("good"), path, checksum=checksum) == path
    assert path.read_bytes() == BODY
    assert is_alone(path)


def test_what_is_there_is_not_fetched_again(server, path):
    download(server.url("good"), path, checksum=SHA1)
    download(server.url("good"), path, checksum=SHA1)
    download(server.url("good"), path)
    assert len(server.requests) == 1


def test_what_is_there_but_wrong_is_replaced(server, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    download(server.url("good"), path, checksum=SHA1)
    assert path.read_bytes() == BODY


def test_what_is_there_stays_when_mirrors_fail(server, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(DownloadError):
        download(server.url("missing"), path, checksum=SHA1)
    assert path.read_bytes() == b"old"


@pytest.mark.posix
def test_a_read_only_folder_is_enough_for_what_is_there(server, path):
    download(server.url("good"), path, checksum=SHA1)
    path.parent.chmod(0o500)
    try:
        assert download(server.url("missing"), path, checksum=SHA1) == path
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("missing", "404"),
        ("truncated", f"stopped after {HALF} of {len(BODY)} bytes"),
        ("corrupt", "expected " + SHA1.removeprefix("sha1:")),
        ("stalled", "stalled"),
        ("silent", "no answer within 0.3 s"),
        ("page", "web page"),
        ("hidden_page", "web page"),
        ("chunked", "connection was lost"),
    ],
)
def test_bad_mirror_falls_through(server, path, bad, reason):
    urls = [server.url(bad), server.url("good")]
    download(urls, path, checksum=SHA1, timeout=0.3)
    assert path.read_bytes() == BODY
    assert is_alone(path)

    with pytest.raises(DownloadError) as failed:
        download([server.url(bad)], path.with_name("other"), checksum=SHA1, timeout=0.3)
    assert reason in str(failed.value)


def test_dead_host_falls_through(server, path):
    download(["http://127.0.0.1:1/file.bin", server.url("good")], path, checksum=SHA1)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("bad", ["truncated", "hidden_page"])
def test_bad_mirror_is_seen_without_a_checksum(server, path, bad):
    download([server.url(bad), server.url("good")], path)
    assert path.read_bytes() == BODY


def test_redirect_is_followed(server, path):
    download(server.url("moved"), path, checksum=SHA1)
    assert path.read_bytes() == BODY


def test_all_failed(server, path):
    urls = [server.url("missing"), server.url("page")]
    with pytest.raises(DownloadError) as failed:
        download(urls, path, checksum=SHA1)
    message = str(failed.value)
    for part in (*urls, "404", "web page", path.name, str(path.parent)):
        assert part in message
    assert [url for url, _ in failed.value.failures] == urls
    assert isinstance(failed.value, OSError)
    assert not path.exists()


def test_check_refuses(server, path):
    def check(file):
        raise ValueError(f"is {file.stat().st_size} bytes of nothing")

    with pytest.raises(DownloadError, match=f"is {len(BODY)} bytes of nothing"):
        download(server.url("good"), path, check=check)


def test_broken_transfer_goes_on_where_it_broke(server, path):
    download(server.url("breaks_once"), path, checksum=SHA1)
    assert path.read_bytes() == BODY
    assert server.requests == [("breaks_once", 0), ("breaks_once", HALF)]
    assert server.sent == len(BODY)


def put_part(path, content):
    path.parent.mkdir()
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)


@pytest.mark.parametrize("name", ["good", "no_range", "other_range"])
def test_resumed(server, path, name):
    put_part(path, BODY[:HALF])
    download(server.url(name), path, checksum=SHA1)
    assert path.read_bytes() == BODY
    if name == "good":
        assert server.sent == len(BODY) - HALF


@pytest.mark.parametrize(
    "part", [bytes(HALF), BODY, BODY + b"more", bytes(len(BODY))], ids=["wrong", "all", "more", "0"]
)
def test_part_of_another_file(server, path, part):
    put_part(path, part)
    download(server.url("good"), path, checksum=SHA1)
    assert path.read_bytes() == BODY
    assert is_alone(path)


def test_wrong_part_and_corrupt_mirror(server, path):
    put_part(path, bytes(HALF))
    with pytest.raises(DownloadError, match="sha1"):
        download(server.url("corrupt"), path, checksum=SHA1)
    assert server.requests == [("corrupt", HALF), ("corrupt", 0)]


def test_dead_mirror_keeps_the_part(server, path):
    put_part(path, BODY[:HALF])
    download([server.url("missing"), server.url("good")], path, checksum=SHA1)
    assert server.requests[-1] == ("good", HALF)


def test_unprovable_part_is_not_used(server, path):
    put_part(path, bytes(HALF))
    download(server.url("good"), path)
    assert path.read_bytes() == BODY


def test_full_disk_is_not_the_mirrors_fault(server, path, monkeypatch):
    def full(fileno):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        download([server.url("good"), server.url("good")], path, checksum=SHA1)
    assert not isinstance(failed.value, DownloadError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("urls", [[], "ftp://host/file", "file:///etc/passwd", "host/file", "a b"])
def test_wrong_address(path, urls):
    with pytest.raises(ValueError, match="expected"):
        download(urls, path)


@pytest.mark.parametrize("checksum", ["md5:" + "0" * 32, "0" * 40, "sha1:0", "sha1:xyzxyzxyz", ""])
def test_wrong_checksum_argument(path, checksum):
    with pytest.raises(ValueError, match=r"expected 'sha1:'"):
        download("http://host/file", path, checksum=checksum)


def test_threads_fetch_once(server, path):
    args = (server.url("held_at_half"), path)
    kwargs = {"checksum": SHA1}
    threads = [threading.Thread(target=download, args=args, kwargs=kwargs) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.arrived.wait()
    server.release.set()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1
    assert is_alone(path)


def start_client(server, name, path):
    command = [sys.executable, "-c", CLIENT, server.url(name), str(path), SHA1]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_fetch_once(server, path):
    first = start_client(server, "held_at_half", path)
    server.arrived.wait()
    second = start_client(server, "held_at_half", path)
    assert any("waiting for another process" in line for line in second.stderr)
    server.release.set()
    first.communicate()
    second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1
    assert is_alone(path)


@pytest.mark.posix
def test_killed_process_is_resumed(server, path):
    client = start_client(server, "held_at_half", path)
    assert any(int(line) == HALF for line in client.stdout)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert client.returncode == -signal.SIGKILL

    server.sent = 0
    download(server.url("good"), path, checksum=SHA1)
    assert server.sent == len(BODY) - HALF
    assert path.read_bytes() == BODY
    assert is_alone(path)


def test_import_loads_no_framework():
    code = (
        "import sys, gluonvision.utils.download\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mxnet')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
