"""What benchmarks/gpu.py and the tests hold the CUDA ops to; one check for each word of the command line.

    python tests/ops/gpu_checks.py touch|bits|repeat|gradcheck|compare-routes --device cuda|rehearsal [--kinds ...]

The last line of output is a JSON object with what was counted. Exit status 1 where a check does not hold.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import every_op
import torch

from repro import ops
from repro.ops import _library
from repro.ops.meanfield import meanfield_step

REPEATS = 10


class Where:
    """A device to run ops on: a GPU, or the CPU in its place with the CUDA ops' code rehearsed."""

    def __init__(self, device: str) -> None:
        self.device = "cpu" if device == "rehearsal" else device
        self.namespace = "repro"
        self.kernels = _library.cuda_route().why
        if device == "rehearsal":
            from repro.ops._rehearsal import NAMESPACE, Rehearsal

            self.namespace, self.rehearsal = NAMESPACE, Rehearsal()
            self.kernels = "rehearsed on the CPU"

    def run(self, call: every_op.Call) -> list[torch.Tensor]:
        """The op's results, on the CPU."""
        return every_op.run(call.op, call.arguments, self.device, self.namespace)


def touch(where: Where, kinds: list[str]) -> dict[str, Any]:
    """Calls every op once: what compute-sanitizer watches."""
    return {"calls": sum(1 for kind in kinds for call in every_op.calls(kind) if where.run(call) is not None)}


def bits(where: Where, kinds: list[str]) -> dict[str, Any]:
    """Every result has the CPU's bits, or is named."""
    differing: dict[str, str] = {}
    calls = 0
    for kind in kinds:
        for call in every_op.calls(kind):
            calls += 1
            wanted = every_op.run(call.op, call.arguments)
            pairs = zip(where.run(call), wanted, strict=True)
            if not all(every_op.agree(a, b, call.exact) for a, b in pairs):
                differing.setdefault(call.op, f"{kind}: {every_op.described(call)}")
    return {"calls": calls, "failed": differing}


def repeat(where: Where, kinds: list[str]) -> dict[str, Any]:
    """Ten runs of every op give the same bits."""
    differing: dict[str, str] = {}
    calls = 0
    for kind in kinds:
        for call in every_op.calls(kind):
            calls += 1
            first = where.run(call)
            for _ in range(REPEATS - 1):
                if not all(every_op.agree(a, b, True) for a, b in zip(where.run(call), first, strict=True)):
                    differing.setdefault(call.op, f"{kind}: {every_op.described(call)}")
    return {"calls": calls, "runs": REPEATS, "failed": differing}


def gradients(device: str) -> Iterator[tuple[str, Callable[..., Any], tuple[torch.Tensor, ...], bool]]:
    """Name, function, float64 inputs, and whether it is differentiated twice."""

    def leaf(*shape: int, seed: int = 0) -> torch.Tensor:
        drawn = every_op.values("random", shape, seed)
        return drawn.to(device).requires_grad_()

    x = leaf(2, 2, 5, 6)
    for name, window in (("2 by 2", (2, 2, 0)), ("overlapping", (3, 2, 1))):
        k, s, p = window
        _, switches = ops.max_pool_switches(x.detach(), k, s, p)
        yield f"max_pool_switches, {name}", lambda t, w=window: ops.max_pool_switches(t, *w)[0], (x,), True
        if name == "2 by 2":  # where duplicates meet, forward keeps the last and backward, like Caffe's, serves all
            yield (
                "max_unpool_switches",
                lambda t, where=switches, w=window: ops.max_unpool_switches(t, where, (5, 6), *w),
                (leaf(*switches.shape, seed=1),),
                True,
            )
    fused = functools.partial(ops.scale_shift_relu_pool, kernel=2, stride=2)
    yield "scale_shift_relu_pool", lambda *t: fused(*t)[0], (x, leaf(2, seed=11), leaf(2, seed=12)), True
    mask = torch.tensor([[[[0, 7, -1, 29]]]], device=device).expand(1, 2, 1, 4)
    yield "unpool_mask", lambda t: ops.unpool_mask(t, mask, (5, 6)), (leaf(1, 2, 1, 4, seed=2),), False
    yield "avg_unpool", lambda t: ops.avg_unpool(t, (4, 6), 2, 2), (leaf(1, 2, 2, 3, seed=3),), True
    features, channels = leaf(1, 12, 3, seed=4), leaf(1, 12, 2, seed=5)

    def filtered(f: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return ops.PermutohedralLattice(f).filter(v)

    yield "lattice_filter in its values", lambda v: filtered(features.detach(), v), (channels,), True
    yield "lattice_filter in its features", filtered, (features, channels), False
    weights = (leaf(seed=6), leaf(8, seed=7), leaf(5, 8, seed=8))

    def step(unary: torch.Tensor, message: torch.Tensor, *compatibilities: torch.Tensor) -> torch.Tensor:
        return meanfield_step(unary, [message] * 3, list(compatibilities), 5)

    yield "meanfield_step", step, (leaf(4, 8, seed=9), leaf(4, 8, seed=10), *weights), False


def gradcheck(where: Where, kinds: list[str]) -> dict[str, Any]:
    """float64 gradients against finite differences, on the device; twice where an op can be differentiated twice."""
    failed: dict[str, str] = {}
    count = 0
    for name, function, inputs, twice in gradients(where.device):
        for checker in [torch.autograd.gradcheck, *([torch.autograd.gradgradcheck] if twice else [])]:
            count += 1
            try:
                checker(function, inputs, nondet_tol=0.0)
            except RuntimeError as error:
                failed[f"{checker.__name__} of {name}"] = str(error).splitlines()[0]
    return {"checks": count, "failed": failed}


def compare_routes(where: Where, kinds: list[str]) -> dict[str, Any]:
    """The time of one small op by each route, each in its own process; NVRTC's with an empty cache and a full one."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, route in (("nvcc", "nvcc"), ("nvrtc, empty cache", "nvrtc"), ("nvrtc, full cache", "nvrtc")):
            chosen = {} if where.device == "cpu" else {"REPRO_KERNELS": route}
            command = [sys.executable, __file__, "time-one", "--device", "cpu" if not chosen else "cuda"]
            done = subprocess.run(
                command, env=os.environ | chosen | {"REPRO_CACHE": cache}, capture_output=True, text=True, check=False
            )
            lines = done.stdout.strip().splitlines() or [""]
            found[name] = json.loads(lines[-1]) if done.returncode == 0 else done.stderr.strip().splitlines()[-1:]
    failed = {name: str(said) for name, said in found.items() if not isinstance(said, dict)}
    return {"routes": found, "failed": failed}


def time_one(where: Where, kinds: list[str]) -> dict[str, Any]:
    """First call, and the median of a hundred, of pooling a small plane, in microseconds."""

    def once() -> float:
        begin = time.perf_counter()
        ops.max_pool_switches(x, 2, 2)
        if where.device != "cpu":
            torch.cuda.synchronize()
        return 1e6 * (time.perf_counter() - begin)

    x = torch.randn(1, 8, 14, 14, device=where.device)
    first = once()
    return {"kernels": where.kernels, "first_us": first, "median_us": sorted(once() for _ in range(100))[50]}


CHECKS = {
    "touch": touch,
    "bits": bits,
    "repeat": repeat,
    "gradcheck": gradcheck,
    "compare-routes": compare_routes,
    "time-one": time_one,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--device", choices=["cuda", "rehearsal", "cpu"], required=True)
    parser.add_argument("--kinds", nargs="+", choices=every_op.KINDS, default=list(every_op.KINDS))
    options = parser.parse_args()
    found = CHECKS[options.check](Where(options.device), options.kinds)
    if options.device == "cuda":
        torch.cuda.synchronize()
    print(json.dumps(found))
    return 1 if found.get("failed") else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main())
