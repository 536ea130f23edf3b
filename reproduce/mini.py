"""The shipped mini networks and their Table 1 made again, from seeds, and held against the committed table.

    python reproduce/mini.py [--out DIR] [--jobs N] [--scale 1/50]

Generated pictures, DeconvNet mini in both training stages, its BN folded, FCN-8s mini, and the five rows of
`repro table1` on forty pictures that neither has seen. What is done is not done again: after Ctrl-C or a kill the same
command goes on, trainings from their last snapshot, to the same bits. Exit status 1: not the committed table.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from fractions import Fraction
from pathlib import Path

import mini_accept
import mini_verdict
from mini_steps import mini_steps
from side_by_side import Chain
from steps import main

from repro.report.table import percent, text_table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=Path("build/reproduce_mini"), metavar="DIR", help="everything goes here")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    add(
        "--jobs",
        type=int,
        default=min(cores, 2),
        metavar="N",
        help="steps side by side, one thread each; the result is the same (default: 2, or 1 where there is one core)",
    )
    add(
        "--scale",
        type=_fraction,
        default=Fraction(1),
        metavar="F",
        help="rehearse with this part of pictures and iterations, e.g. 1/50; then there is nothing to compare with",
    )
    add(
        "--accept",
        action="store_true",
        help="make the result the committed one in this checkout: weights, manifest.toml, expected.json",
    )
    options = parser.parse_args()
    if options.accept and options.scale != 1:
        parser.error("a rehearsal's result is not to be committed: --accept without --scale")
    return options


def _fraction(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number such as 1/50") from None


def run(options: argparse.Namespace) -> None:
    start = time.monotonic()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    chain = Chain(out, mini_steps(out, options.scale), options.jobs, lambda text: print(text, flush=True))
    seconds = chain.run()
    spent = [["step", "seconds"], *([name, f"{value:.0f}"] for name, value in seconds.items())]
    minutes = (time.monotonic() - start) / 60
    print(f"\n{text_table(spent)}\n\nthis call: {minutes:.1f} min, {options.jobs} steps side by side")
    print(f"weights: {out / 'weights'}; table: {out / 'table1' / 'table.md'}\n")
    _show(out, whole=options.scale == 1, accepted=options.accept)


def _show(out: Path, *, whole: bool, accepted: bool) -> None:
    table = out / "table1" / "table.json"
    if not whole:
        means = mini_verdict.measured_means(table)
        print(text_table([["row", "mean IoU"], *([row, percent(value, 2)] for row, value in means.items())]))
        print("a rehearsal: there is no committed table to compare it with")
        return
    rows = mini_verdict.compare(table, out / "held_out")
    cells = [["row", "here", "committed", "Δ"]]
    for row in rows:
        delta = row.measured - row.committed
        cells.append([row.row, percent(row.measured, 2), percent(row.committed, 2), f"{delta:+.2f}"])
    print(text_table(cells))
    for name, same in mini_verdict.same_weights(out / "weights").items():
        print(f"{name}: {'the very bytes of the shipped file' if same else 'other bits than the shipped file'}")
    if accepted:
        changed = mini_accept.accept(out / "weights", {row.row: row.measured for row in rows})
        print(f"committed from now on: {', '.join(changed)}; docs/table1.md and README.md have the numbers too")
        return
    print(mini_verdict.check(rows))


if __name__ == "__main__":
    OPTIONS = arguments()
    sys.exit(main(lambda: run(OPTIONS)))
