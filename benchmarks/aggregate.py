"""Folding 50 score maps into a canvas: one call of `aggregate_max_` beside the loop over proposals.

    python benchmarks/aggregate.py [--proposals 50] [--size 375 500] [--threads 1 2] [--device cpu|cuda] [--note TEXT]

Peers, both a loop that resizes a map, cuts it to the canvas and takes the maximum: `imresize`, NumPy and the same bits
(what this project did before the op); `F.interpolate`, torch's own antialiased bilinear (close numbers, not the same),
on the device.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from harness import Row, compare, conditions, write

from repro import ops
from repro.data.resample import imresize

CLASSES, SIDE = 21, 224


def draw_boxes(count: int, height: int, width: int) -> np.ndarray:
    """Boxes of at least 112 pixels a side, as the release's rule leaves them, in the image."""
    rng = np.random.default_rng(0)
    sides = np.stack([rng.integers(112, limit + 1, count) for limit in (width, height)], axis=1)
    corners = np.stack([rng.integers(0, limit - sides[:, k] + 1) for k, limit in enumerate((width, height))], axis=1)
    return np.concatenate([corners, corners + sides - 1], axis=1)


def by_interpolate(canvas: torch.Tensor, maps: torch.Tensor, boxes: np.ndarray) -> None:
    for score, (x1, y1, x2, y2) in zip(maps, boxes.tolist(), strict=True):
        size = (y2 - y1 + 1, x2 - x1 + 1)
        resized = F.interpolate(score[None], size, mode="bilinear", antialias=True)[0]
        part = canvas[:, y1 : y2 + 1, x1 : x2 + 1]
        torch.maximum(part, resized, out=part)


def by_imresize(canvas: torch.Tensor, maps: torch.Tensor, boxes: np.ndarray) -> None:
    target = canvas.permute(1, 2, 0).numpy()
    for score, (x1, y1, x2, y2) in zip(maps, boxes.tolist(), strict=True):
        resized = imresize(score.permute(1, 2, 0).numpy(), (y2 - y1 + 1, x2 - x1 + 1))
        part = target[y1 : y2 + 1, x1 : x2 + 1]
        np.maximum(part, resized, out=part)


def measure(options: argparse.Namespace, threads: int) -> Iterator[Row]:
    torch.set_num_threads(threads)
    height, width = options.size
    boxes = draw_boxes(options.proposals, height, width)
    for layout, memory_format in (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last)):
        maps = torch.randn(options.proposals, CLASSES, SIDE, SIDE, device=options.device)
        maps = maps.to(memory_format=memory_format)
        canvas = torch.zeros(1, CLASSES, height, width, device=options.device).to(memory_format=memory_format)[0]
        peers: dict[str, Callable[[torch.Tensor, torch.Tensor, np.ndarray], None]] = {"F.interpolate": by_interpolate}
        if options.device == "cpu":
            peers["imresize"] = by_imresize
        for name, peer in peers.items():
            yield compare(
                f"aggregate_max_ {layout}, {threads} threads, against a loop of {name}",
                lambda: ops.aggregate_max_(canvas, maps, boxes),  # noqa: B023
                lambda: peer(canvas, maps, boxes),  # noqa: B023
                seconds=5.0,
                extra={"maps_per_s": 0.0},
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=50)
    parser.add_argument("--size", type=int, nargs=2, default=[375, 500], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    before = {**conditions(), "proposals": options.proposals, "size": options.size, "device": options.device}
    rows = [row for threads in options.threads for row in measure(options, threads)]
    for row in rows:
        row.extra["maps_per_s"] = options.proposals / row.ours_s
    write("aggregate" if options.device == "cpu" else "aggregate_cuda", before, rows, options.note)


if __name__ == "__main__":
    main()
