"""What every request and every answer go through: who may ask, and what a browser may do with it.

Another site's page can make a browser send requests here. It is told by the Host header, which
names its own site where its name was pointed at this machine (DNS rebinding), and by the Origin
header, which names it where it sends a picture. Programs that are no browser send no Origin.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Answers are a person's pictures; and files of the page change with the package.
    "Cache-Control": "no-store",
}


class Guard:
    """Around an application: refuses foreign hosts and origins, adds headers to every answer.

    ``hosts``: beside the loopback names, what a Host header may be, without its port; None for any.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None):
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        app = self._refusal(Headers(scope=scope)) or self._app
        return await app(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> ASGIApp | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_known(host):
            message = "This server answers to other names. --allow-host adds one."
            return JSONResponse({"error": message}, 421)
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return JSONResponse({"error": "Requests of another site's page are refused."}, 403)
        return None

    def _is_known(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = _name(host)
        return name in self._hosts or is_loopback(name)


def is_loopback(name: str) -> bool:
    """Whether a host name or address is this machine's own, reached from nowhere else."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: str) -> str:
    """The host of 'host:port', lower case, without brackets; empty where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
