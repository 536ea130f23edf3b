"""Pooling and unpooling beside torch's own, at the sizes of DeconvNet's five pool/unpool pairs.

    python benchmarks/pool.py [--batch 1 8] [--threads 2] [--layouts nchw nhwc] [--cpu-time] [--note TEXT]

Peers: `F.max_pool2d(return_indices=True)` and `F.max_unpool2d`, whose indices are int64. `copy_share` is the rate at
which ours moves its own bytes, as a share of the rate `x.clone()` reaches in the same run. `--cpu-time` counts the
processor time of one thread, for a machine that others use meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from harness import Row, compare, conditions, write

from repro import ops

PAIRS = ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))  # channels and side of the plane of pool1 to pool5
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def clone_rate(x: torch.Tensor, clock: Callable[[], float]) -> float:
    """Bytes read and written per second by a plain copy."""
    row = compare("clone", x.clone, x.clone, turns=7, clock=clock)
    return 2 * x.numel() * x.element_size() / row.ours_s


def measure(batch: int, channels: int, side: int, layout: str, clock: Callable[[], float]) -> Iterator[Row]:
    x = torch.randn(batch, channels, side, side).to(memory_format=LAYOUTS[layout])
    label = f"{layout} {batch}x{channels}x{side}x{side}"
    copy = clone_rate(x, clock)
    y, switches = ops.max_pool_switches(x, 2, 2)
    _, indices = F.max_pool2d(x, 2, 2, return_indices=True)
    traffic = (x.numel() + y.numel()) * x.element_size() + switches.numel()

    def row(name: str, ours, peer, passes: int = 1) -> Row:  # type: ignore[no-untyped-def]
        timed = compare(f"{name} {label}", ours, peer, clock=clock)
        timed.extra["copy_share"] = passes * traffic / timed.ours_s / copy
        return timed

    yield row("pool", lambda: ops.max_pool_switches(x, 2, 2), lambda: F.max_pool2d(x, 2, 2, return_indices=True))
    yield row(
        "unpool",
        lambda: ops.max_unpool_switches(y, switches, side, 2, 2),
        lambda: F.max_unpool2d(y, indices, 2, output_size=(side, side)),
    )
    leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
    back = torch.randn_like(x)

    def ours_pair() -> None:
        pooled, where = ops.max_pool_switches(leaf, 2, 2)
        torch.autograd.grad(ops.max_unpool_switches(pooled, where, side, 2, 2), leaf, back)

    def torch_pair() -> None:
        pooled, where = F.max_pool2d(leaf, 2, 2, return_indices=True)
        torch.autograd.grad(F.max_unpool2d(pooled, where, 2, output_size=(side, side)), leaf, back)

    yield row("pair, forward and backward", ours_pair, torch_pair, passes=4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    torch.set_num_threads(1 if options.cpu_time else options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    before = {**conditions(), "clock": "processor time of one thread" if options.cpu_time else "wall"}
    rows = [
        row
        for layout in options.layouts
        for batch in options.batch
        for channels, side in PAIRS
        for row in measure(batch, channels, side, layout, clock)
    ]
    write("pool", before, rows, options.note)


if __name__ == "__main__":
    main()
