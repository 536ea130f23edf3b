"""`repro bn-testable NET WEIGHTS OUT`: average batch statistics and fold them into BN's scale and shift."""

from __future__ import annotations

import argparse
from pathlib import Path

from repro.cli.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "net",
        metavar="NET",
        help="training prototxt; its BN layers may have their batch mean and variance as tops",
    )
    parser.add_argument("weights", metavar="WEIGHTS", help=".caffemodel as training left it")
    parser.add_argument("out", metavar="OUT", help=".caffemodel to write, for BN layers in bn_mode INFERENCE")
    parser.add_argument("--iterations", type=int, default=501, metavar="K", help="batches to average (default 501)")
    parser.add_argument("--bessel", action="store_true", help="correct the variances' bias (the release does not)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that the net's relative data paths start from")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 … (default cpu)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="order of the batches (default 0)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that compute (default: torch's)")


def run(args: argparse.Namespace) -> int:
    import torch

    from repro.papers.bn_testable import make_testable

    if args.threads is not None:
        torch.set_num_threads(max(args.threads, 1))
    with progress("averaging batch statistics", args.iterations) as step:
        averaged = make_testable(
            args.net,
            args.weights,
            args.out,
            iterations=args.iterations,
            bessel=args.bessel,
            data_root=args.data,
            seed=args.seed,
            device=args.device,
            step=lambda: step(1),
        )
    print(f"{args.out}: statistics of {args.iterations} batches folded into {len(averaged)} BN layers")
    return 0
