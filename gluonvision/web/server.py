"""Serve the application at an address."""

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
_MAX_CONNECTIONS = 200


def serve(
    models: Models,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    allowed_hosts: Iterable[str] = (),
    ready: Callable[[str], None] = print,
) -> None:
    """Answer requests until the process is interrupted.

    Args:
        models: the models that users can choose.
        limits: the limits on uploads and load.
        host: address to listen at; the default is reachable from this machine only.
        port: port to listen at; 0 takes any free port.
        allowed_hosts: host names that the server answers to, in addition to the loopback names.
            Without any, a server on a non-loopback address accepts every host name.
        ready: called with the address of the page when the page is reachable.

    Raises:
        OSError: if the server cannot listen at the address; the message says what to do.
    """
    allowed_hosts = list(allowed_hosts)
    hosts = allowed_hosts if allowed_hosts or is_loopback(host) else None
    with listen(host, port) as listening:
        # Load the default model now: errors show immediately, and the first answer is fast.
        models.get(models.default)
        ready(_address(listening))
        make_server(create_app(models, limits, hosts)).run([listening])


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a single-process server with a bounded number of connections."""
    config = uvicorn.Config(
        app,
        # Fixed, so that other installed packages do not change the server.
        http="h11",
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_IDLE_SECONDS,
        limit_concurrency=_MAX_CONNECTIONS,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, which reserves the port; raise OSError if that fails."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise OSError(_listen_message(host, port, error)) from error


def _listen_message(host: str, port: int, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use; choose another with --port, or any free port with "
            "--port 0"
        )
    if code == errno.EACCES:
        return f"you may not use port {port}; choose a port from 1024 on, such as --port 8000"
    return (
        f"cannot listen at {host}, port {port} ({error}); --host must be an address of this machine"
    )


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
