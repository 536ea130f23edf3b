"""All that can only be shown on a GPU, in one command and one JSON; `make gpu` runs it.

    python benchmarks/gpu.py [--steps build tests ...] [--rehearse] [--json FILE] [--kinds random tied nan empty]

Steps run one by one, each in a process and with a time limit of its own; all limits make ten minutes (`--patience 3`
makes them three times as long). What a step said and how it ended goes into the JSON as soon as it is known, so a run
that is cut off is taken up with `--steps`, which replaces the named steps of the JSON and keeps the rest. A step whose
tool is missing is skipped, and says so. Exit status: 0 no step failed, 1 some did.

`--rehearse` takes the same way without a GPU: the CUDA ops' own code on CPU tensors with a stand-in for the driver, the
lattice's build by Thrust's CPU backend, gradients on the CPU. It shows that the command works, nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import RESULTS, ROOT, conditions

CHECKS = ROOT / "tests" / "ops" / "gpu_checks.py"
TAIL = 40  # lines of output kept
TOTAL = 600  # seconds that all limits add up to


@dataclass(frozen=True)
class Job:
    """What a step runs: a command, what to set in its environment, and a reason where it cannot run here."""

    command: Sequence[str | Path] = ()
    environment: tuple[tuple[str, str], ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Step:
    """A step's name, its limit in seconds, and its job on a GPU and in a rehearsal."""

    name: str
    limit: int
    job: Callable[[argparse.Namespace], Job]


def check(what: str, *, route: str = "auto", limit_kinds: Sequence[str] = ()) -> Callable[[argparse.Namespace], Job]:
    """One of the checks of tests/ops/gpu_checks.py."""

    def job(options: argparse.Namespace) -> Job:
        kinds = [k for k in options.kinds if not limit_kinds or k in limit_kinds]
        command = [sys.executable, CHECKS, what, "--device", device(options), "--kinds", *kinds]
        return Job(command, () if options.rehearse else (("REPRO_KERNELS", route),))

    return job


def device(options: argparse.Namespace) -> str:
    return "rehearsal" if options.rehearse else "cuda"


def build(options: argparse.Namespace) -> Job:
    wish = "0" if options.rehearse else "1"
    return Job([sys.executable, "setup.py", "build_ext", "--inplace"], (("REPRO_CUDA", wish),))


def doctor(options: argparse.Namespace) -> Job:
    return Job([sys.executable, "-m", "repro", "doctor"])


def tests(options: argparse.Namespace) -> Job:
    if not options.rehearse:
        return Job([sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-x", "-q"])
    thrust = [ROOT / "tests/ops/crf/test_thrust_on_the_cpu.py", ROOT / "tests/ops/test_nvrtc_rehearsal.py"]
    return Job([sys.executable, "-m", "pytest", "-m", "slow or not slow", "-p", "no:cacheprovider", "-q", *thrust])


def sanitizer(tool: str) -> Callable[[argparse.Namespace], Job]:
    def job(options: argparse.Namespace) -> Job:
        if options.rehearse:
            return Job(missing="compute-sanitizer watches a GPU, and this is a rehearsal without one")
        found = find_sanitizer()
        if found is None:
            return Job(missing="no compute-sanitizer on PATH, in CUDA_HOME/bin or among the nvidia packages")
        watch = [found, "--tool", tool, "--error-exitcode", "9", "--print-limit", "20"]
        return Job([*watch, sys.executable, CHECKS, "touch", "--device", "cuda", "--kinds", "random"])

    return job


def find_sanitizer() -> str | None:
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    packages = [Path(p) for p in sys.path if p.endswith("-packages")]
    places = [f"{home}/bin", f"{home}/compute-sanitizer", *(str(b) for p in packages for b in p.glob("nvidia/*/bin"))]
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(places))


def benchmark(script: Path) -> Callable[[argparse.Namespace], Job]:
    def job(options: argparse.Namespace) -> Job:
        if options.rehearse:
            return Job([sys.executable, script, "--help"])
        extra = ["--json", Path(options.scratch) / f"{script.stem}.json"] if '"--json"' in script.read_text() else []
        return Job([sys.executable, script, "--device", "cuda", *extra], (("REPRO_RESULTS", str(options.scratch)),))

    return job


def steps() -> list[Step]:
    """In this order: what makes the rest worth running first."""
    scripts = [p for p in sorted(Path(__file__).parent.glob("*.py")) if p.name != "gpu.py"]
    timed = [p for p in scripts if '"--device"' in p.read_text(encoding="utf-8")]
    checks = [
        Step("build", 130, build),
        Step("doctor", 15, doctor),
        Step("bits", 40, check("bits")),
        Step("repeat", 45, check("repeat", limit_kinds=("random", "nan"))),
        Step("gradcheck", 30, check("gradcheck")),
        Step("nvrtc", 70, check("bits", route="nvrtc", limit_kinds=("random",))),
        Step("routes", 30, check("compare-routes")),
        Step("tests", 60, tests),
        Step("memcheck", 35, sanitizer("memcheck")),
        Step("racecheck", 35, sanitizer("racecheck")),
    ]
    # two networks of 250 million parameters are made before the first figure
    long = {"train": 40}
    left = TOTAL - sum(step.limit for step in checks) - sum(long.values())
    each = left // max(1, len(timed) - len(long))
    return [*checks, *(Step(f"benchmark-{p.stem}", long.get(p.stem, each), benchmark(p)) for p in timed)]


def run(step: Step, options: argparse.Namespace) -> dict[str, Any]:
    """The step's verdict: passed, failed (with the exit status, or 'time limit') or skipped (with the reason)."""
    job = step.job(options)
    if job.missing:
        return {"verdict": "skipped", "why": job.missing}
    begin = time.monotonic()
    limit = step.limit * options.patience
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            [str(part) for part in job.command],
            cwd=ROOT,
            env=environment | dict(job.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
        status, said, why = done.returncode, done.stdout, f"exit status {done.returncode}"
    except subprocess.TimeoutExpired as late:
        status, said, why = None, late.stdout or b"", f"not done within {limit:g} s"
    except OSError as error:
        status, said, why = None, b"", f"could not be started: {error}"
    lines = [line.rstrip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    ended = {"verdict": "passed"} if status == 0 else {"verdict": "failed", "why": why}
    found = next((json.loads(line) for line in reversed(lines) if re.fullmatch(r"\{.*\}", line)), None)
    seconds = round(time.monotonic() - begin, 1)
    return {**ended, "seconds": seconds, "limit": limit, "found": found, "output": lines[-TAIL:]}


def machine() -> dict[str, Any]:
    """What was measured on: as the other benchmarks say it, and the GPU's driver and CUDA."""
    import torch

    smi = shutil.which("nvidia-smi")
    query = [smi or "", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader"]
    said = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() if smi else ""
    return {**conditions(), "cuda_of_torch": torch.version.cuda, "nvidia_smi": said or None}


def main() -> int:
    names = [step.name for step in steps()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", choices=names, metavar="STEP", help=", ".join(names))
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--kinds", nargs="+", default=["random", "tied", "nan", "empty", "golden"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--patience", type=float, default=1.0, help="what every time limit is multiplied by")
    options = parser.parse_args()
    import torch

    if not options.rehearse and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no CUDA device here, so nothing was run; --rehearse shows all but the GPU",
            file=sys.stderr,
        )
        return 1
    path = options.json or RESULTS / ("gpu_rehearsal.json" if options.rehearse else "gpu.json")
    kept = json.loads(path.read_text())["steps"] if options.steps and path.is_file() else {}
    document = {"benchmark": "gpu", "rehearsal": options.rehearse, "conditions": machine(), "steps": kept}
    chosen = [step for step in steps() if not options.steps or step.name in options.steps]
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = scratch
        for number, step in enumerate(chosen, 1):
            print(
                f"[{number}/{len(chosen)}] {step.name} (at most {step.limit * options.patience:g} s) ... ",
                end="",
                flush=True,
            )
            verdict = run(step, options)
            results = {p.stem: json.loads(p.read_text()) for p in sorted(Path(scratch).glob("*.json"))}
            for p in Path(scratch).glob("*.json"):
                p.unlink()
            document["steps"] = {
                **document["steps"],
                step.name: {**verdict, **({"results": results} if results else {})},
            }
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=1) + "\n")
            print(
                f"{verdict['verdict']}{': ' + verdict['why'] if 'why' in verdict else ''} {verdict.get('seconds', '')}"
            )
            if verdict["verdict"] == "failed":
                print("\n".join(f"    {line}" for line in verdict["output"][-15:]))
    verdicts = {name: step["verdict"] for name, step in document["steps"].items()}
    count = {v: sum(1 for found in verdicts.values() if found == v) for v in ("passed", "failed", "skipped")}
    print(", ".join(f"{n} {v}" for v, n in count.items()) + f"; written to {path}")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
