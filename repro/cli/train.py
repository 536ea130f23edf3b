"""`repro train SOLVER`: train from a Caffe solver prototxt."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from repro.cli.progress import progress
from repro.solver.build import build_solver
from repro.solver.initial import FILLERS, read_array_file
from repro.solver.layout import keep_freed_memory
from repro.solver.log import TrainingLog, number
from repro.solver.optim import AGES
from repro.solver.ranks import Ranks, join_ranks
from repro.solver.solver import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("solver", metavar="SOLVER", help="solver prototxt; its net is looked for beside it")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--weights", action="append", default=[], metavar="F", help=".caffemodel or .npz to start from, by layer name"
    )
    start.add_argument("--snapshot", type=Path, metavar="F", help=".solverstate to go on from, to the same bits")
    parser.add_argument(
        "--fill-missing", choices=FILLERS, help="filler for weights that neither a file nor the prototxt gives values"
    )
    parser.add_argument(
        "--caffe-random", action="store_true", help="fillers draw the very numbers of BVLC Caffe (needs --caffe bvlc)"
    )
    parser.add_argument("--arrays", metavar="NPZ", help="arrays for MemoryData layers, by the names of their tops")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that the net's relative data paths start from")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for snapshots and logs (default: here)")
    parser.add_argument("--caffe", choices=AGES, default="2015", help="age of the solver's arithmetic (default 2015)")
    parser.add_argument("--dialect", help="read the nets as this fork's (default: guessed; see docs/dialects.md)")
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda, cuda:1 … (default cpu); under torchrun cpu or cuda, one per process"
    )
    parser.add_argument(
        "--amp", action="store_true", help="mixed precision: products in bfloat16 (float16 is not offered)"
    )
    parser.add_argument(
        "--answer-within",
        type=float,
        default=600.0,
        metavar="S",
        help="with several processes (torchrun), end if one does not answer for S seconds (default 600)",
    )
    parser.add_argument("--max-iter", type=int, metavar="N", help="instead of the solver's max_iter")
    parser.add_argument("--seed", type=int, metavar="N", help="instead of the solver's random_seed")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="threads that prepare batches (default 2)")
    parser.add_argument("--cache", type=int, default=512, metavar="MB", help="decoded pictures to keep (default 512)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads that compute (default: torch's)")


def run(args: argparse.Namespace) -> int:
    import torch

    if args.threads is not None:
        torch.set_num_threads(max(args.threads, 1))
    keep_freed_memory()
    ranks = join_ranks(args.device, args.answer_within)
    try:
        return _train(args, ranks)
    finally:
        ranks.close()


def _train(args: argparse.Namespace, ranks: Ranks) -> int:
    import torch

    # the first process speaks for all
    log = TrainingLog(say=print, folder=args.out or Path()) if ranks.is_first else TrainingLog()
    solver = build_solver(
        args.solver,
        weights=args.weights,
        snapshot=args.snapshot,
        caffe=args.caffe,
        data_root=args.data,
        out=args.out,
        device=ranks.device,
        seed=args.seed,
        max_iter=args.max_iter,
        workers=args.workers,
        cache_bytes=max(args.cache, 0) << 20,
        log=log,
        ranks=ranks,
        autocast=torch.bfloat16 if args.amp else None,
        fill_missing=args.fill_missing,
        caffe_random=args.caffe_random,
        arrays=read_array_file(args.arrays) if args.arrays is not None else None,
        dialect=args.dialect,
    )
    left = solver.schedule.max_iter - solver.iteration
    together = f" in {ranks.world} processes" if ranks.world > 1 else ""
    log.line(f"Solving {solver.name}: iterations {solver.iteration} to {solver.schedule.max_iter}{together}")
    shown = progress("training", max(left, 0), every=30.0) if ranks.is_first else nullcontext(_silent)
    try:
        with shown as step:

            def on_iteration(done: Progress) -> None:
                step(1, note=f"iteration {done.iteration}, loss {number(done.loss)}")

            solver.solve(on_iteration)
    except KeyboardInterrupt as stop:
        if not str(stop):
            raise
        if ranks.is_first:
            print(f"repro: interrupted; {stop}", file=sys.stderr)
        return 130
    finally:
        solver.close()
        log.close()
    return 0


def _silent(count: int = 1, note: str = "") -> None:
    pass
