"""Apply a function to many items in threads, in order and with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, per_worker: int = 8
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` of every item in order, computed in advance by threads.

    An exception of ``function`` is raised at its item's turn.

    Args:
        function: function of one item; it must be thread-safe.
        items: the items; they are taken as they are needed.
        workers: number of threads; 0 calls the function in the caller's thread, on demand.
        per_worker: items per thread that are being computed or wait for the caller.
    """
    if not workers:
        yield from map(function, items)
        return
    remaining = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        first = islice(remaining, workers * per_worker)
        pending = deque(pool.submit(function, item) for item in first)
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
