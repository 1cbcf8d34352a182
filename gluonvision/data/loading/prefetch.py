"""A function over many items in threads, in order, in memory that does not grow with them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that each thread has in hand, or whose results wait to be taken.
_AHEAD = 8


def prefetch_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """``function`` of every item in the items' order, a bounded number of them ahead.

    ``workers``: threads; 0 calls it in the caller's. What it raises, is raised at its place.
    """
    if not workers:
        yield from map(function, items)
        return
    items = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        pending = deque(pool.submit(function, item) for item in islice(items, workers * _AHEAD))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
