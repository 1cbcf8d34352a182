"""Locks between threads and processes, by a lock file."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Iterator
from io import BufferedWriter
from pathlib import Path

logger = logging.getLogger(__name__)

_held: set[BufferedWriter] = set()


@contextlib.contextmanager
def locked(path: str | os.PathLike, wait: bool = True) -> Iterator[None]:
    """Hold a lock on ``path`` against other threads and processes.

    The operating system locks the open file ``path + '.lock'``, and unlocks it when the process is
    killed.

    Args:
        path: file or folder to lock; its folder is created.
        wait: wait for another holder of the lock.

    Raises:
        BlockingIOError: another process holds the lock and ``wait`` is False.
        OSError: the file system has no locks.
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
        # Windows does not remove open files; the empty file that remains does no harm.
        with contextlib.suppress(OSError):
            lock.unlink()
        _unlock(handle)
        handle.close()


def _close_in_child() -> None:
    for handle in _held:
        handle.close()
    _held.clear()


# A fork inherits the open file, and would hold the lock after its parent has been killed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def _acquire(lock: Path, wait: bool) -> BufferedWriter:
    while True:
        handle = open(lock, "ab")  # noqa: SIM115
        try:
            _lock_handle(handle, lock, wait)
            # The last holder removes the file, and another process may have created a new one: a
            # lock on the removed file would exclude nobody.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
                    return handle
        except BaseException:
            handle.close()
            raise
        handle.close()


def _lock_handle(handle: BufferedWriter, lock: Path, wait: bool) -> None:
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

    # What LK_NBLCK and LK_LOCK raise for a file that another holds.
    _IS_LOCKED = (errno.EACCES, errno.EDEADLOCK)

    def _try_lock(handle: BufferedWriter) -> bool:
        return _lock_first_byte(handle, msvcrt.LK_NBLCK)

    def _wait_lock(handle: BufferedWriter) -> None:
        # LK_LOCK gives up after ten seconds.
        while not _lock_first_byte(handle, msvcrt.LK_LOCK):
            pass

    def _lock_first_byte(handle: BufferedWriter, mode: int) -> bool:
        try:
            msvcrt.locking(handle.fileno(), mode, 1)
        except OSError as error:
            if error.errno not in _IS_LOCKED:
                raise
            return False
        return True

    def _unlock(handle: BufferedWriter) -> None:
        # Windows unlocks a closed file only some time later.
        with contextlib.suppress(OSError):
            msvcrt.locking(handle.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(handle: BufferedWriter) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_lock(handle: BufferedWriter) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle: BufferedWriter) -> None:
        """Do nothing: closing the file unlocks it."""
