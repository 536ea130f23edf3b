"""Stopping at the end of an iteration instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# `timeout`, a shell and a process group may each pass the same Ctrl-C or kill on: those are one request
_SAME_REQUEST_S = 1.0


@dataclass
class StopRequest:
    """``requested`` turns true at the first SIGINT or SIGTERM."""

    requested: bool = False
    since: float = 0.0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Note the first Ctrl-C (or SIGTERM) instead of raising; one a second or more later raises KeyboardInterrupt.

    Outside the main thread, where Python allows no handlers, nothing is caught.
    """
    request = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not request.requested:
            request.requested, request.since = True, now
        elif now - request.since >= _SAME_REQUEST_S:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
