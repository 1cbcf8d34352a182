"""Start the application on an address, and say where it is."""

import errno
import socket
from collections.abc import Callable, Iterable

import uvicorn
from starlette.types import ASGIApp

from gluonvision.web.app import create_app
from gluonvision.web.guard import is_loopback
from gluonvision.web.limits import Limits
from gluonvision.web.models import Models

_IDLE_SECONDS = 5
_MOST_CONNECTIONS = 200


def serve(
    models: Models,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: Iterable[str] = (),
    ready: Callable[[str], None] = print,
) -> None:
    """Answer requests until the process is interrupted.

    ``port`` 0 takes any that is free. ``allowed_hosts``: names that the server answers to beside
    the loopback ones; bound to another address than a loopback one, and without any given, it
    answers to all. ``ready`` is called with the page's address when it can be reached.

    Raises OSError, saying what to do, where the address cannot be had.
    """
    allowed_hosts = list(allowed_hosts)
    hosts = allowed_hosts if allowed_hosts or is_loopback(host) else None
    with listen(host, port) as listening:
        models.get(models.default)  # what is wrong with it shows now, and the first answer is quick
        ready(_address(listening))
        make_server(create_app(models, limits, hosts)).run([listening])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """A server of the application, of one process, with bounded connections and headers."""
    config = uvicorn.Config(
        app,
        # What else is installed decides nothing.
        http="h11",
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_IDLE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound and listens, so that nobody else takes its port; OSError if taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise OSError(_mend(host, port, error)) from error


def _mend(host: str, port: int, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken; choose another by --port, or any free one: --port 0"
        )
    if number == errno.EACCES:
        return f"port {port} may not be used by you; ports from 1024 on may, such as --port 8000"
    return f"cannot listen at {host}, port {port} ({error}); --host is an address of this machine"


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
