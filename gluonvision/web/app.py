"""The addresses: the page, the list of models, and the one that turns a picture into a mask."""

import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gluonvision._version import __version__
from gluonvision.web.errors import Refused, answer_refused
from gluonvision.web.guard import Guard
from gluonvision.web.limits import Limits
from gluonvision.web.models import Models
from gluonvision.web.queue import Queue
from gluonvision.web.results import Result
from gluonvision.web.uploads import decode, read_body, reduced

logger = logging.getLogger(__name__)

# Address, file and type of the page's parts: nothing else is ever read for a client.
_PAGE = (
    ("/", "index.html", "text/html"),
    ("/style.css", "style.css", "text/css"),
    ("/app.js", "app.js", "text/javascript"),
    ("/icon.svg", "icon.svg", "image/svg+xml"),
    ("/example.jpg", "example.jpg", "image/jpeg"),
)
_OUTPUTS = {"json": Result.json, "mask": Result.mask_png, "overlay": Result.overlay_png}


def create_app(
    models: Models, limits: Limits | None = None, hosts: Iterable[str] | None = ()
) -> ASGIApp:
    """The application, for any ASGI server of one process.

    ``hosts``: as for ``Guard``; by default none beside the loopback names.
    """
    server = _Server(models, limits or Limits())
    app = Starlette(
        routes=[
            *(Route(address, _file(name, kind)) for address, name, kind in _PAGE),
            Route("/api/models", server.list_models),
            Route("/api/segment", server.segment, methods=["POST"]),
        ],
        exception_handlers={
            Refused: answer_refused,
            404: partial(_answer, message="There is nothing at this address."),
            405: partial(_answer, message="This address takes another method."),
            500: partial(_answer, message="The server failed; its terminal says how."),
        },
        lifespan=server.lifespan,
    )
    # Not as Starlette's middleware: its answer to a fault of ours is made outside of that.
    return Guard(app, hosts)


class _Server:
    def __init__(self, models: Models, limits: Limits):
        self.models, self.limits, self.queue = models, limits, Queue(limits.waiting)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self.queue.close()

    async def list_models(self, request: Request) -> Response:
        offers = [
            {"name": each.name, "about": each.about, "classes": each.classes}
            for each in self.models.offers.values()
        ]
        limits = {"upload": self.limits.upload, "formats": self.limits.formats}
        return JSONResponse({"version": __version__, "models": offers, "limits": limits})

    async def segment(self, request: Request) -> Response:
        model = self.models.find(request.query_params.get("model"))
        answer = _output(request.query_params.get("output", "json"))
        with self.queue.place():
            content = await read_body(request, self.limits)
            work = partial(self._work, content, model, answer)
            return await self.queue.run(request, work) or Response(status_code=499)

    def _work(self, content: bytes, model: str, answer) -> Response:
        picture = decode(content, self.limits)
        predictor = self.models.get(model)
        pixels = reduced(picture.pixels, self.limits.side)
        begin = time.perf_counter()
        prediction = predictor(pixels)
        return answer(Result(picture, prediction, model, time.perf_counter() - begin))


def _output(name: str):
    if name not in _OUTPUTS:
        raise Refused(400, f"output={name[:40]}: expected one of {', '.join(_OUTPUTS)}.")
    return _OUTPUTS[name]


def _file(name: str, kind: str):
    content = resources.files("gluonvision.web").joinpath("static", name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


async def _answer(request: Request, error: Exception, message: str) -> Response:
    status = getattr(error, "status_code", 500)
    return JSONResponse({"error": message}, status, getattr(error, "headers", None))
