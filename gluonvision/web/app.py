"""The routes: the page, the list of models, and the segmentation of an image."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gluonvision._version import __version__
from gluonvision.web.errors import RequestError, answer_request_error
from gluonvision.web.guard import Guard
from gluonvision.web.limits import Limits
from gluonvision.web.models import Models
from gluonvision.web.queue import Queue
from gluonvision.web.results import Result
from gluonvision.web.uploads import decode_image, limit_side, read_body

logger = logging.getLogger(__name__)

# Path, file and type of the page's files. The server reads no other file for a client.
_PAGE = (
    ("/", "index.html", "text/html"),
    ("/style.css", "style.css", "text/css"),
    ("/app.js", "app.js", "text/javascript"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
    ("/example.jpg", "example.jpg", "image/jpeg"),
)
_ENCODERS = {"json": Result.json, "mask": Result.mask_png, "overlay": Result.overlay_png}


def create_app(
    models: Models, limits: Limits | None = None, hosts: Iterable[str] | None = ()
) -> ASGIApp:
    """Create the application, for any single-process ASGI server.

    Args:
        models: the models that users can choose.
        limits: the limits on uploads and load.
        hosts: as for ``Guard``; by default the loopback names only.
    """
    server = _Server(models, limits or Limits())
    app = Starlette(
        routes=[
            *(Route(path, _file_route(name, media_type)) for path, name, media_type in _PAGE),
            Route("/api/models", server.list_models),
            Route("/api/segment", server.segment, methods=["POST"]),
        ],
        exception_handlers={
            RequestError: answer_request_error,
            404: partial(_answer_error, message="This address does not exist."),
            405: partial(_answer_error, message="This address does not support this method."),
            500: partial(_answer_error, message="The server failed. Its terminal shows the error."),
        },
        lifespan=server.lifespan,
    )
    # Not added as Starlette middleware: error responses would bypass it.
    return Guard(app, hosts)


class _Server:
    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits, self.queue = models, limits, Queue(limits.waiting)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.queue.close()

    async def list_models(self, request: Request) -> Response:
        models = [
            {"name": entry.name, "about": entry.about, "classes": entry.classes}
            for entry in self.models.entries.values()
        ]
        limits = {"upload": self.limits.upload, "formats": self.limits.formats}
        return JSONResponse({"version": __version__, "models": models, "limits": limits})

    async def segment(self, request: Request) -> Response:
        model = self.models.find(request.query_params.get("model"))
        encode = _encoder(request.query_params.get("output", "json"))
        with self.queue.reserve():
            content = await read_body(request, self.limits)
            work = partial(self._segment, content, model, encode)
            return await self.queue.run(request, work) or Response(status_code=499)

    def _segment(
        self, content: bytes, model: str, encode: Callable[[Result], Response]
    ) -> Response:
        image = decode_image(content, self.limits)
        predictor = self.models.get(model)
        pixels = limit_side(image.pixels, self.limits.side)
        start = time.perf_counter()
        prediction = predictor(pixels)
        return encode(Result(image, prediction, model, time.perf_counter() - start))


def _encoder(output: str) -> Callable[[Result], Response]:
    if output not in _ENCODERS:
        raise RequestError(400, f"output={output[:40]}: expected one of {', '.join(_ENCODERS)}.")
    return _ENCODERS[output]


def _file_route(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = resources.files("gluonvision.web").joinpath("static", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


async def _answer_error(request: Request, error: Exception, message: str) -> Response:
    status = getattr(error, "status_code", 500)
    return JSONResponse({"error": message}, status, getattr(error, "headers", None))
