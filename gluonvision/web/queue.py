"""Segment one image at a time: one thread for all models, and a bounded number of requests.

Two images at a time would not finish sooner on one device, but would double the memory. The same
thread loads the models.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from starlette.requests import Request

from gluonvision.web.errors import RequestError

Result = TypeVar("Result")


class Queue:
    """A bounded number of requests that share one thread; for use on one event loop.

    Args:
        max_requests: the number of requests at a time, from upload to answer.
    """

    def __init__(self, max_requests: int) -> None:
        self._free = self._max_requests = max_requests
        self._thread = ThreadPoolExecutor(1, "segmentation")
        self._mean_seconds = 1.0

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place in the queue; raise RequestError (503, with Retry-After) if it is full."""
        if not self._free:
            raise RequestError(
                503,
                f"The server is busy: {self._max_requests} images are waiting. Try again soon.",
                {"Retry-After": str(self._retry_after())},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, request: Request, work: Callable[[], Result]) -> Result | None:
        """Call ``work`` on the thread and return its result.

        If the client disconnects before its turn, ``work`` is not called and the result is None.
        """
        call = self._thread.submit(self._timed, work)
        turn = asyncio.wrap_future(call)
        disconnected = asyncio.ensure_future(_wait_for_disconnect(request))
        first_event: tuple[asyncio.Future, ...] = (turn, disconnected)
        try:
            await asyncio.wait(first_event, return_when=asyncio.FIRST_COMPLETED)
            # Work that has started keeps its place, because it keeps the thread.
            return None if not turn.done() and call.cancel() else await turn
        finally:
            disconnected.cancel()

    def close(self) -> None:
        """Drop the waiting requests, and end the thread after its current image."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], Result]) -> Result:
        start = time.perf_counter()
        try:
            return work()
        finally:
            # The latest image counts half, so the estimate adapts quickly to a new model or size.
            self._mean_seconds = (self._mean_seconds + time.perf_counter() - start) / 2

    def _retry_after(self) -> int:
        """Estimate the seconds until the current image is done."""
        return max(1, math.ceil(self._mean_seconds))


async def _wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed the connection; call this after reading the body."""
    with suppress(Exception):
        while (await request.receive())["type"] != "http.disconnect":
            pass
