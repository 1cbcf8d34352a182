"""One lock a file, between threads and processes."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

_held: set = set()


@contextlib.contextmanager
def locked(path: str | os.PathLike, wait: bool = True) -> Iterator[None]:
    """Hold `path + '.lock'` against other threads and processes, waiting for it if need be.

    The lock is the operating system's, on the open file: the one of a killed process is free.
    Raises BlockingIOError where another holds it and `wait` is false.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock")
    handle = _acquire(lock, wait)
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        # Windows refuses to remove an open file; the empty file left there does no harm.
        with contextlib.suppress(OSError):
            lock.unlink()
        handle.close()


def _leave_to_parent() -> None:
    for handle in _held:
        handle.close()
    _held.clear()


# A fork has the open file too, and would hold its lock on when the parent has been killed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _acquire(lock: Path, wait: bool):
    while True:
        handle = open(lock, "ab")  # noqa: SIM115
        try:
            _lock_handle(handle, lock, wait)
            # Its last holder removed the file, and another may have made a new one: a lock on the
            # removed file would exclude nobody.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
                    return handle
        except BaseException:
            handle.close()
            raise
        handle.close()


def _lock_handle(handle, lock: Path, wait: bool) -> None:
    try:
        if not _try_lock(handle):
            if not wait:
                raise BlockingIOError(f"another process holds {lock}")
            logger.info("waiting for another process, which holds %s", lock)
            _wait_lock(handle)
    except BlockingIOError:
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot lock ({error.strerror}): choose a folder on a local disk",
            str(lock),
        ) from error


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle) -> bool:
        try:
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _wait_lock(handle) -> None:
        while True:
            # LK_LOCK gives up after ten seconds.
            with contextlib.suppress(OSError):
                return msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _try_lock(handle) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(handle) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
