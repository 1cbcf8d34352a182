"""Which errors the user can fix: they are reported in one line, all others with a traceback."""

import os

_USER_ERRORS = (ValueError, OSError, FloatingPointError)


def is_user_error(error: BaseException) -> bool:
    """Return whether the user can fix an error by its message, and it is not a bug of ours.

    Always False if the environment variable ``GLUONVISION_TRACEBACK`` is set, so that every error
    shows where it comes from.
    """
    if os.environ.get("GLUONVISION_TRACEBACK"):
        return False
    is_own = type(error).__module__.partition(".")[0] == "gluonvision"
    return is_own or isinstance(error, _USER_ERRORS) or _is_missing_package(error)


def _is_missing_package(error: BaseException) -> bool:
    """Return whether it is our ImportError with an install hint; Python's own have a ``name``.

    An installed but broken package keeps its traceback.
    """
    cause = error.__cause__
    has_hint = isinstance(error, ImportError) and error.name is None
    return has_hint and (cause is None or isinstance(cause, ModuleNotFoundError))
