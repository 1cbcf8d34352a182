"""Which errors a user can mend: these are told in a line, all others with their traceback."""

import os

_USER_ERRORS = (ValueError, OSError, FloatingPointError)


def is_user_error(error: BaseException) -> bool:
    """Whether an error is a user's to mend, by what its message says, and not a fault of ours.

    Never with ``GLUONVISION_TRACEBACK`` set, by which one asks where errors come from.
    """
    if os.environ.get("GLUONVISION_TRACEBACK"):
        return False
    is_own = type(error).__module__.partition(".")[0] == "gluonvision"
    return is_own or isinstance(error, _USER_ERRORS) or _is_missing_package(error)


def _is_missing_package(error: BaseException) -> bool:
    """Whether it is an ImportError that says what to install: Python's own have a ``name``.

    One of a package that is there and broken keeps its traceback, which tells where.
    """
    cause = error.__cause__
    is_told = isinstance(error, ImportError) and error.name is None
    return is_told and (cause is None or isinstance(cause, ModuleNotFoundError))
