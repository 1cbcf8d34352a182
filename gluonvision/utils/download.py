"""Download a file over http(s) from several mirrors: resumed, verified, locked and atomic."""

import contextlib
import http.client
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gluonvision.utils.hashing import file_digest
from gluonvision.utils.locking import locked

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
ATTEMPTS = 3


class DownloadError(OSError):
    """Every mirror of a file failed; ``failures`` holds a (url, reason) pair for each."""

    def __init__(self, message: str, failures: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class _MirrorError(Exception):
    """This mirror cannot provide the file."""


class _TransferInterrupted(_MirrorError):
    """The transfer was interrupted; it may be resumed."""


@dataclass(frozen=True)
class _Job:
    path: Path
    checksum: str | None
    check: Callable[[Path], None] | None
    progress: bool
    timeout: float

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def resumable(self) -> bool:
        # Without a check, the result could be joined from two different files.
        return self.checksum is not None or self.check is not None

    def part_size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def problem(self, file: Path) -> str | None:
        """Return what is wrong with ``file``, or None."""
        try:
            _refuse_web_page(file)
            if self.checksum is not None:
                verify_checksum(file, self.checksum)
            if self.check is not None:
                self.check(file)
        except ValueError as error:
            return str(error)
        return None

    def is_done(self) -> bool:
        if not self.path.is_file():
            return False
        if problem := self.problem(self.path):
            logger.warning(
                "%s exists but is not valid (%s): downloading it again", self.path, problem
            )
        return problem is None


def download(
    urls: str | Sequence[str],
    path: str | os.PathLike,
    *,
    checksum: str | None = None,
    check: Callable[[Path], None] | None = None,
    progress: bool = True,
    timeout: float = 20.0,
) -> Path:
    """Download one file from the first of its mirrors that provides it completely.

    A valid existing file is not downloaded again. An interrupted download leaves
    ``path + '.part'``; the next call resumes it if ``checksum`` or ``check`` can verify the result.
    Web pages (HTML) are refused, because login pages and dead hosts send them.

    Args:
        urls: one http(s) address, or several of the same file, best first.
        path: path of the file; its folder is created.
        checksum: "sha1:..." or "sha256:..." with at least the first 8 hexadecimal digits.
        check: called with the downloaded file before it is moved to ``path``; it raises ValueError
            to refuse the file.
        progress: show a progress bar, if standard error is a terminal.
        timeout: seconds without a byte before the next mirror is tried.

    Returns:
        ``path``, with ``~`` expanded.

    Raises:
        ValueError: an address or a checksum is not well-formed.
        DownloadError: no mirror provided the file; the message lists the reason of each.
    """
    urls = [urls] if isinstance(urls, str) else list(urls)
    _check_urls(urls)
    if checksum is not None:
        _parse_checksum(checksum)
    job = _Job(Path(path).expanduser(), checksum, check, progress, timeout)
    if job.is_done():
        return job.path
    with locked(job.path):
        if not job.path.is_file() or job.problem(job.path) is not None:
            _from_first_mirror(urls, job)
    return job.path


def verify_checksum(path: str | os.PathLike, checksum: str) -> None:
    """Raise ValueError unless the file's hash begins with that of ``checksum`` ("sha1:6f1e...")."""
    algorithm, expected = _parse_checksum(checksum)
    actual = file_digest(path, algorithm)[: len(expected)]
    if actual != expected:
        raise ValueError(f"the file has {algorithm} {actual}, expected {expected}")


def _check_urls(urls: Sequence[str]) -> None:
    if not urls:
        raise ValueError("got no address to download from, expected at least one")
    for url in urls:
        if not re.match(r"https?://[^/\s]+/\S*$", url):
            raise ValueError(f"got the address {url!r}, expected http://... or https://...")


def _parse_checksum(checksum: str) -> tuple[str, str]:
    algorithm, _, digits = checksum.partition(":")
    lengths = {"sha1": 40, "sha256": 64}
    is_valid = algorithm in lengths and re.fullmatch("[0-9a-fA-F]{8,64}", digits)
    if not is_valid or len(digits) > lengths[algorithm]:
        raise ValueError(
            f"got the checksum {checksum!r}, expected 'sha1:' or 'sha256:' and 8 or more "
            "hexadecimal digits"
        )
    return algorithm, digits.lower()


def _from_first_mirror(urls: Sequence[str], job: _Job) -> None:
    failures = []
    for url in urls:
        try:
            return _from_mirror(url, job)
        except _MirrorError as error:
            logger.info("%s: %s", url, error)
            failures.append((url, str(error)))
    raise _all_failed(job.path, failures)


def _all_failed(path: Path, failures: Sequence[tuple[str, str]]) -> DownloadError:
    lines = [
        f"could not download {path.name}, every mirror failed:",
        *(f"  {url}: {reason}" for url, reason in failures),
        f"Download it yourself and save it as {path.name} in {path.parent.absolute()}",
    ]
    return DownloadError("\n".join(lines), failures)


def _from_mirror(url: str, job: _Job) -> None:
    """Download, verify and rename; resume an interrupted transfer while it makes progress."""
    if not job.resumable:
        job.part.unlink(missing_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        size_before = job.part_size()
        try:
            _transfer(url, job)
        except _TransferInterrupted:
            if not job.resumable or attempt == ATTEMPTS or job.part_size() <= size_before:
                raise
            continue
        problem = job.problem(job.part)
        if problem is None:
            os.replace(job.part, job.path)
            return
        job.part.unlink()
        # The error may be in the part that existed before: try once more from the first byte.
        if not size_before or attempt == ATTEMPTS:
            raise _MirrorError(f"the server sent a wrong file: {problem}")


def _transfer(url: str, job: _Job) -> None:
    """Download the bytes missing from ``job.part``, or all if the server cannot skip any."""
    offset = job.part_size()
    with contextlib.closing(_open(url, offset, job.timeout)) as response:
        start, total = _sent_range(response)
        if response.status == 416 and total == offset:
            return
        is_wrong_range = response.status in (206, 416) and start != offset
        if not is_wrong_range:
            _receive(response, url, job, start, total)
            return
    if not offset:
        raise _MirrorError(f"the server started at byte {start} instead of 0")
    job.part.unlink()
    _transfer(url, job)


def _receive(
    response: http.client.HTTPResponse, url: str, job: _Job, start: int, total: int | None
) -> None:
    if response.status not in (200, 206):
        raise _MirrorError(f"the server answered {response.status} {response.reason}".rstrip())
    _refuse_response(response, url)
    _write(response, job, start, total)
    if total is not None and job.part_size() != total:
        raise _TransferInterrupted(f"the transfer stopped after {job.part_size()} of {total} bytes")


def _open(url: str, offset: int, timeout: float) -> http.client.HTTPResponse:
    headers = {"User-Agent": "gluonvision", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        return error  # type: ignore[return-value]  # it is also a response
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            reason = f"no answer within {timeout:g} s"
        raise _MirrorError(str(reason) or repr(reason)) from error


def _sent_range(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the body in the file, and the file's size or None if it is unknown."""
    found = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status in (206, 416) and found:
        start, total = found.groups()
        return int(start or 0), int(total) if total != "*" else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _refuse_response(response: http.client.HTTPResponse, url: str) -> None:
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise _MirrorError(f"redirected from https to {response.url}, which is not encrypted")
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml"):
        raise _MirrorError(
            f"the server sent a web page ({kind}) instead of the file: a login page or a dead host"
        )


def _refuse_web_page(file: Path) -> None:
    with open(file, "rb") as opened:
        head = opened.read(512).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        raise ValueError("the file is a web page, not the expected file")


def _write(response: http.client.HTTPResponse, job: _Job, start: int, total: int | None) -> None:
    mode = "ab" if start else "wb"
    with open(job.part, mode) as file, _bar(job, start, total) as bar:
        for chunk in _chunks(response, job.timeout):
            file.write(chunk)
            file.flush()  # a killed process keeps the bytes received so far
            bar.update(len(chunk))
        os.fsync(file.fileno())


def _bar(job: _Job, start: int, total: int | None) -> tqdm:
    return tqdm(
        desc=job.path.name,
        initial=start,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None if job.progress else True,
    )


def _chunks(response: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK)
        except TimeoutError as error:
            raise _TransferInterrupted(
                f"the transfer stalled: no byte for {timeout:g} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransferInterrupted(f"the connection was lost: {error!r}") from error
        if not chunk:
            return
        yield chunk
