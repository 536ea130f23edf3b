"""Pooling and unpooling beside torch's own, at the sizes of DeconvNet's five pool/unpool pairs.

    python benchmarks/pool.py [--batch 1 8 50] [--threads 2] [--cpu-time] [--keep-memory] [--note TEXT]

Rows: each op forward and backward, and both with their gradients (the pair), NCHW and NHWC. Peers:
`F.max_pool2d(return_indices=True)` and `F.max_unpool2d`, whose indices are int64; for the rows `nhwc against nchw` the
peer is ours in NCHW. `copy_share` is the rate at which ours moves its own bytes, as a share of the rate `x.clone()`
reaches in the same run; above 1 it is the faster one.

Large tensors get their memory from the system afresh on every call, `x.clone()`'s too, and the faults of its pages cost
more than the copying; ours asks for huge pages. `--keep-memory` has freed memory used again, so that what is timed is
the kernels; written to `pool_kept.json`. `--cpu-time` counts the processor time of one thread, for a machine that
others use meanwhile.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from harness import Row, compare, conditions, write

from repro import ops

PAIRS = ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))  # channels and side of the plane of pool1 to pool5
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
Work = Callable[[], object]


def keep_memory() -> None:
    """glibc: no memory from mmap, and none given back."""
    libc = ctypes.CDLL(None)
    trim_threshold, mmap_max = -1, -4
    if not (libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2**31 - 1)):
        raise SystemExit("--keep-memory needs glibc")


def gradient(y: torch.Tensor, leaf: torch.Tensor, top: torch.Tensor) -> Work:
    return lambda: torch.autograd.grad(y, leaf, top, retain_graph=True)


def works(x: torch.Tensor, side: int) -> tuple[dict[str, Work], dict[str, Work]]:
    """What is timed by name: ours, and torch's."""
    top = torch.randn_like(x)
    leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()

    def ours_pair() -> object:
        pooled, where = ops.max_pool_switches(leaf, 2, 2)
        return torch.autograd.grad(ops.max_unpool_switches(pooled, where, side, 2, 2), leaf, top)

    def torch_pair() -> object:
        pooled, where = F.max_pool2d(leaf, 2, 2, return_indices=True)
        return torch.autograd.grad(F.max_unpool2d(pooled, where, 2, output_size=(side, side)), leaf, top)

    ours, theirs = ops.max_pool_switches(leaf, 2, 2), F.max_pool2d(leaf, 2, 2, return_indices=True)
    y, switches, indices = ours[0].detach(), ours[1], theirs[1]
    small = y.clone(memory_format=torch.preserve_format).requires_grad_()
    wide = ops.max_unpool_switches(small, switches, side, 2, 2)
    their_wide = F.max_unpool2d(small, indices, 2, output_size=(side, side))
    pool, unpool = ops.max_pool_switches, ops.max_unpool_switches
    return {
        "pool": lambda: pool(x, 2, 2),
        "unpool": lambda: unpool(y, switches, side, 2, 2),
        "pool backward": gradient(ours[0], leaf, y),
        "unpool backward": gradient(wide, small, top),
        "pair, forward and backward": ours_pair,
    }, {
        "pool": lambda: F.max_pool2d(x, 2, 2, return_indices=True),
        "unpool": lambda: F.max_unpool2d(y, indices, 2, output_size=(side, side)),
        "pool backward": gradient(theirs[0], leaf, y),
        "unpool backward": gradient(their_wide, small, top),
        "pair, forward and backward": torch_pair,
    }


def measure(batch: int, channels: int, side: int, clock: Callable[[], float]) -> Iterator[Row]:
    shape = f"{batch}x{channels}x{side}x{side}"
    values = torch.randn(batch, channels, side, side)
    timing: dict[str, Any] = {"clock": clock, "seconds": 1.0}
    by_layout = {}
    for layout, memory_format in LAYOUTS.items():
        x = values.to(memory_format=memory_format)
        ours, theirs = works(x, side)
        by_layout[layout] = ours
        copy = 2 * x.numel() * x.element_size() / compare("clone", x.clone, x.clone, turns=7, clock=clock).ours_s
        traffic = x.numel() * (x.element_size() * 5 + 1) / 4  # the plane, a quarter of it, and its switches
        for name, work in ours.items():
            row = compare(f"{name} {layout} {shape}", work, theirs[name], **timing)
            row.extra["copy_share"] = (4 if name.startswith("pair") else 1) * traffic / row.ours_s / copy
            yield row
    for name, work in by_layout["nhwc"].items():
        yield compare(f"{name} nhwc against nchw {shape}", work, by_layout["nchw"][name], **timing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 50])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--keep-memory", action="store_true")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    if options.keep_memory:
        keep_memory()
    torch.set_num_threads(1 if options.cpu_time else options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    before = {**conditions(), "clock": "processor time of one thread" if options.cpu_time else "wall"}
    rows = [row for batch in options.batch for channels, side in PAIRS for row in measure(batch, channels, side, clock)]
    write("pool_kept" if options.keep_memory else "pool", before, rows, options.note)


if __name__ == "__main__":
    main()
