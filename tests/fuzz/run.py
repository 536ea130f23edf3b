"""Fuzzes one reader for a time: guided by coverage where atheris is installed, else by plain mutation.

    python tests/fuzz/run.py TARGET [--seconds 60] [--plain] [--seed N] [--corpus DIR] [--more FILE…]
    python tests/fuzz/run.py TARGET --replay FILE…

TARGET: text, caffemodel, solverstate, binaryproto, hdf5, hdf5_state, lmdb, mat, proposals. An input that ends in
anything but a reading or an error of ours, that kills the process, takes longer than two seconds, or more than 200 MB
beyond its own size is kept in the corpus folder as ``finding-…`` and printed; the exit status is then 1. The guided
form is there where ``pip install -r tests/fuzz/requirements.txt`` has been run.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import importlib.util
import os
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

MAX_SECONDS = 2.0
MAX_MB = 200.0


def peak_mb() -> float:
    """The most memory resident since the last `forget_peak`, in MB; 0 where the system does not say."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))
    return 0.0


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def keep(data: bytes, corpus: Path, why: str) -> None:
    path = corpus / f"finding-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"FINDING {why}: {path}", flush=True)


def attempt(target: Any, data: bytes, path: Path, corpus: Path) -> bool:
    """One input; whether all went well."""
    path.write_bytes(data)
    forget_peak()
    before, began, why = peak_mb(), time.perf_counter(), ""
    busy = time.process_time()
    faulthandler.dump_traceback_later(20 * MAX_SECONDS, exit=True)
    try:
        target(path)
    except Exception:
        why = f"an exception that is not ours\n{traceback.format_exc(limit=-6)}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    # the processor's time, so that a busy machine is no finding
    took = min(time.perf_counter() - began, time.process_time() - busy)
    if not why and took > MAX_SECONDS:
        why = f"{took:.1f} s"
    if not why and peak_mb() - before > MAX_MB + len(data) / 1e6:
        why = f"{peak_mb() - before:.0f} MB"
    if why:
        keep(data, corpus, why)
    return not why


def plain(name: str, good: list[bytes], seconds: float, seed: int, corpus: Path) -> int:
    """Mutations in this process, which the caller watches; the input at work is in ``current``."""
    from mutate import mutate
    from targets import TARGETS

    rng, well, runs = random.Random(seed), True, 0
    path = corpus.parent / f"current-{name}"
    for data in good:
        well &= attempt(TARGETS[name], data, path, corpus)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        well &= attempt(TARGETS[name], mutate(good, rng, name == "text"), path, corpus)
        runs += 1
    path.unlink()
    print(f"{name}: {runs} inputs, seed {seed}: {'no findings' if well else 'findings above'}", flush=True)
    return not well


def guided(args: argparse.Namespace, corpus: Path) -> None:
    """libFuzzer over atheris; ends the process."""
    import atheris

    # all of repro has to be imported in here: what is not is not seen
    with atheris.instrument_imports(include=["repro"]):
        from targets import TARGETS

        files = good(args)
    for data in files:
        (corpus / f"seed-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
    path = corpus.parent / f"current-{args.target}"

    until = time.monotonic() + args.seconds

    def one(data: bytes) -> None:
        if time.monotonic() > until:
            print(f"{args.target}: time is over, seed {args.seed}: no findings", flush=True)
            os._exit(0)  # libFuzzer's own way out meets torch's in a signal
        path.write_bytes(data)
        TARGETS[args.target](path)

    limits = [f"-timeout={int(4 * MAX_SECONDS)}", "-rss_limit_mb=2048"]
    where = [f"-artifact_prefix={corpus}/finding-", f"-seed={args.seed or 1}", "-max_len=20000", "-len_control=0"]
    atheris.Setup([sys.argv[0], *limits, *where, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="mutation alone, even where atheris is installed")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"), help="default: build/fuzz")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="good files to begin from besides our own")
    parser.add_argument("--replay", type=Path, nargs="*", default=[], help="only these inputs, once")
    parser.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    corpus = args.corpus / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    if args.replay:
        from targets import TARGETS

        done = [attempt(TARGETS[args.target], p.read_bytes(), corpus / "replayed", corpus) for p in args.replay]
        return not all(done)
    if not args.watched:
        return watch(args.corpus / f"current-{args.target}", corpus)
    if not args.plain and importlib.util.find_spec("atheris"):
        guided(args, corpus)
        return 0
    return plain(args.target, good(args), args.seconds, args.seed, corpus)


def good(args: argparse.Namespace) -> list[bytes]:
    """The files to begin from."""
    from seeds import seeds

    return [*seeds(args.target), *(path.read_bytes() for path in args.more)]


def watch(current: Path, corpus: Path) -> int:
    """Run the fuzzing in a process of its own, so that a crash of it is a finding and not the end."""
    done = subprocess.run([sys.executable, *sys.argv, "--watched"], check=False)
    if done.returncode not in (0, 1) and current.exists():
        keep(current.read_bytes(), corpus, f"the process ended with status {done.returncode}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    raise SystemExit(main())
