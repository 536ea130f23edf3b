"""Commands that do not outlive the script that started them."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def ended_with_parent(by: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` for `subprocess.Popen`: the command gets the signal when this process dies, however it does (Linux
    alone has that)."""

    def follow() -> None:
        # a shell that starts this in the background has SIGINT ignored, which would be inherited
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, by)

    return follow
