"""How training lies in memory: what takes time and changes no value."""

from __future__ import annotations

import ctypes
import sys

import torch

from repro.layers.conv import Convolution, Deconvolution
from repro.net import Net

# <malloc.h> of glibc
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def channels_last(net: Net) -> None:
    """Lay out the weights of 2-D convolutions channels last, in place; convolutions then answer so, and blobs follow.

    A GPU's matrix units read them so, and oneDNN, which computes torch's convolutions on a CPU, otherwise reorders
    every blob on its way in and out. Those of a kernel that covers its whole input are the rows of a matrix as they
    stand, and stay.
    """
    for layer in net.caffe_layers:
        if isinstance(layer, (Convolution, Deconvolution)) and len(layer.kernel) == 2 and not layer.is_product:
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)


def keep_freed_memory() -> bool:
    """Have glibc keep what the process frees for its next request; False where there is no glibc to ask.

    Every iteration asks for the same blobs. Given back to the system after each use, their pages are zeroed anew each
    time, which is a fifth of the time of a small net. For all of the process, so for a command to call, not a library.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt")):
        return False
    # one arena, because those of other threads (autograd has its own) map large blocks after all
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_ARENA_MAX, 1))
    return all(libc.mallopt(option, value) == 1 for option, value in wanted)
