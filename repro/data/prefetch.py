"""Batches made ahead of time by a few threads, handed out strictly in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Calls ``make(0)``, ``make(1)``, … up to ``depth`` calls ahead on ``workers`` threads; `next` gives them in order.

    ``depth`` is at least one more than ``workers``, so that none waits while another's batch is being used.

    ``make`` must depend on its argument only. workers = 0 makes each one when it is asked for. An error in ``make``
    is raised by the `next` that would have returned its batch.
    """

    def __init__(self, make: Callable[[int], T], *, workers: int = 2, depth: int = 4) -> None:
        self._make = make
        self._depth = max(depth, workers + 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="feed") if workers > 0 else None
        self._queue: deque[Future[T]] = deque()
        self.position = 0

    def next(self) -> T:
        number = self.position
        self.position += 1
        if self._pool is None:
            return self._make(number)
        while len(self._queue) < self._depth:
            self._queue.append(self._pool.submit(self._make, number + len(self._queue)))
        return self._queue.popleft().result()

    def seek(self, position: int) -> None:
        """Go on with ``make(position)``; what was made ahead is dropped."""
        for future in self._queue:
            future.cancel()
        self._queue.clear()
        self.position = position

    def close(self) -> None:
        self.seek(self.position)
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
