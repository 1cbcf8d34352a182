"""One picture at a time: a single thread segments, a bounded number of requests waits for it.

A device does not finish sooner for being asked twice at once, and memory would double. So there is
one thread for all models, which also loads those that are not loaded before it starts.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

from starlette.requests import Request

from gluonvision.web.errors import Refused

Result = TypeVar("Result")


class Queue:
    """Places for ``places`` requests, from their upload to their answer, and the thread they share.

    To be used on one event loop; ``close`` ends the thread.
    """

    def __init__(self, places: int):
        self._free = self._places = places
        self._thread = ThreadPoolExecutor(1, "segmentation")
        self._seconds = 1.0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; Refused (503, with Retry-After) where all are taken."""
        if not self._free:
            raise Refused(
                503,
                f"The server is busy: {self._places} pictures are before this one. Try again soon.",
                {"Retry-After": str(self._patience())},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, request: Request, work: Callable[[], Result]) -> Result | None:
        """What ``work`` returns, called on the thread when it is its turn.

        None, and no call where it has not begun, if the client has gone away.
        """
        call = self._thread.submit(self._timed, work)
        turn = asyncio.wrap_future(call)
        gone = asyncio.ensure_future(_gone(request))
        either: tuple[asyncio.Future, ...] = (turn, gone)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            # One that has begun keeps its place while it keeps the thread.
            return None if not turn.done() and call.cancel() else await turn
        finally:
            gone.cancel()

    def close(self) -> None:
        """Drop what waits, and end the thread when its picture is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], Result]) -> Result:
        begin = time.perf_counter()
        try:
            return work()
        finally:
            # Half of it is the latest: a change of model or size shows soon.
            self._seconds = (self._seconds + time.perf_counter() - begin) / 2

    def _patience(self) -> int:
        """Seconds until a place is free, roughly: when the picture under way is done."""
        return max(1, math.ceil(self._seconds))


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; its body must have been read."""
    with suppress(Exception):
        while (await request.receive())["type"] != "http.disconnect":
            pass
