"""The error that a route raises to refuse a request."""

from starlette.requests import Request
from starlette.responses import JSONResponse


class RequestError(Exception):
    """A refused request, answered with a status and a message for the user."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


async def answer_request_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a ``RequestError``; an exception handler for Starlette."""
    assert isinstance(error, RequestError)
    return JSONResponse({"error": error.message}, error.status, error.headers)
