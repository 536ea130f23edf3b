"""Time and peak memory of every registered deploy net at its paper's input size, on this CPU.

    python benchmarks/papers.py [--network NAME …] [--threads 2] [--passes 3] [--note TEXT]

Each net runs in a process of its own, from weights drawn from a seed: the first pass, the median of the passes after
it, and the process's peak memory (its parameters and Python with torch among it). There is no peer: the papers' own
times, where they print any, were taken on GPUs and stand in `repro papers NAME`.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from harness import RESULTS, conditions

from repro import paths
from repro.papers import registry
from repro.papers.load import load_network
from repro.papers.system import Network
from repro.summary import summarize

NETWORKS = {network.name: network for system in registry.systems() for network in system.networks}


def measure(name: str, threads: int, passes: int) -> dict[str, Any]:
    """One net, in a process of its own."""
    command = [sys.executable, __file__, "--as-worker", name, "--threads", str(threads), "--passes", str(passes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'killed'}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def worker(network: Network, passes: int) -> None:
    net = load_network(network, "seed:1").net
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shape = network.sizes[0][0]
    generator = torch.Generator().manual_seed(1)
    blobs = {network.input: 50 * torch.randn(shape, generator=generator)}
    blobs |= {name: torch.rand(shape[0], *rest, generator=generator) for name, rest in network.more_inputs}
    seconds = []
    with torch.inference_mode():
        for _ in range(passes + 1):
            begin = time.perf_counter()
            net(**blobs)
            seconds.append(time.perf_counter() - begin)
    found = {
        "network": network.name,
        "input": list(shape),
        "parameters": network.parameters,
        "gmacs": summarize(paths.prototxt(network.prototxt)).macs / 1e9,
        "first_s": seconds[0],
        "median_s": statistics.median(seconds[1:]),
        "loaded_mb": loaded / 1e3,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--note", default="")
    parser.add_argument("--as-worker", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.as_worker:
        worker(NETWORKS[options.as_worker], max(options.passes, 1))
        return
    before = conditions()
    rows = []
    for name in options.network:
        row = measure(name, options.threads, options.passes)
        rows.append(row)
        size = "×".join(map(str, row["input"]))
        print(f"{name:<24} {size:>16}  {row['gmacs']:8.1f} G  first {row['first_s']:7.2f} s  "
              f"then {row['median_s']:7.2f} s  peak {row['peak_mb']:7.0f} MB", flush=True)  # fmt: skip
    document = {"benchmark": "papers", "conditions": before, "note": options.note, "rows": rows}
    path = RESULTS / "papers.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
