"""Refuse requests from other sites, and set the security headers of every answer.

A page of another site can make a browser send requests to this server. The Host header reveals it
if the site's name resolves to this machine (DNS rebinding), and the Origin header reveals it if
the page uploads an image. Programs other than browsers send no Origin.
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
    # Answers contain private images, and the page's files change with the package.
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuse unknown hosts and foreign origins, add headers to every answer.

    Args:
        app: the application.
        hosts: accepted names in a Host header, without port, in addition to the loopback names;
            None accepts any host.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
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
            message = "This server does not answer to this host name. Add it with --allow-host."
            return JSONResponse({"error": message}, 421)
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return JSONResponse({"error": "Requests from other sites are refused."}, 403)
        return None

    def _is_known(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = _host_name(host)
        return name in self._hosts or is_loopback(name)


def is_loopback(name: str) -> bool:
    """Return whether a host name or address can be reached from this machine only."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _host_name(host: str) -> str:
    """Return the name in 'name:port' in lower case, without brackets; '' if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
