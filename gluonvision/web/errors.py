"""What a client did wrong, or has to wait for, as an answer."""

from starlette.requests import Request
from starlette.responses import JSONResponse


class Refused(Exception):
    """A request that is answered with a status and one sentence for a person to read."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


async def answer_refused(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that was refused, as an exception handler of Starlette."""
    assert isinstance(error, Refused)
    return JSONResponse({"error": error.message}, error.status, error.headers)
