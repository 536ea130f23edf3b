"""Where the time of `repro table1` goes: seconds per stage and peak memory, each run a process of its own.

    python benchmarks/table1.py --voc DIR [--images N] [--skip-full] [--work DIR]

Three runs over photographs of --voc: the mini networks in one process, the same in two processes by torchrun with one
thread each, and the full-size networks with weights drawn from a seed on one photograph (1.5 GB of weights are written
to --work). No peer: nobody else's code runs the whole of it. Writes results/table1.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import RESULTS, ROOT, conditions

from repro.papers.deconvnet.models import FCN_MODELS, MODELS
from repro.papers.deconvnet.table1.stages import added


def run(out: Path, voc: Path, *more: str, processes: int = 1) -> dict[str, Any]:
    """One run into a new folder: seconds per image and stage, wall seconds with start-up, peak memory."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    program = ["-m", "repro"]
    if processes > 1:
        environment["OMP_NUM_THREADS"] = "1"
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        program = [*launcher, *program]
    command = [sys.executable, *program, "table1", "--voc", str(voc), "--out", str(out), "--cache", "0", *more]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
    shares = json.loads((out / "timing.json").read_text())
    images = json.loads((out / "table.json").read_text())["images"]
    seconds = {stage: spent / images for stage, spent in added([share["seconds"] for share in shares]).items()}
    memory = max(share["memory"]["process"] for share in shares)
    print(f"{out.name}: {images} images, {wall:.1f} s in all, {memory / 1e9:.2f} GB")
    for stage, spent in seconds.items():
        print(f"    {stage:<22} {spent:8.3f} s per image")
    found = {"images": images, "processes": processes, "wall_s": wall, "peak_bytes": memory}
    return found | {"seconds_per_image": seconds}


def seeded(folder: Path) -> Path:
    """The full-size networks' weights from a seed, under the names that `repro table1` looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in (MODELS["deconvnet"], FCN_MODELS["deconvnet"]):
        prototxt = ROOT / "prototxt" / f"{model.prototxt}.prototxt"
        if not (folder / model.weights).is_file():
            command = [sys.executable, "-m", "repro.seeded", str(prototxt), str(folder / model.weights)]
            subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--voc", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20, help="photographs for the mini networks (default: 20)")
    parser.add_argument("--skip-full", action="store_true", help="leave the full-size networks out")
    parser.add_argument("--work", type=Path, help="folder for weights and runs (default: a temporary one)")
    args = parser.parse_args()
    before = conditions()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        few = ("--limit", str(args.images), "--model", "mini", "--absent-class", "skip")
        runs = {"mini": run(Path(temporary) / "mini", args.voc, *few)}
        runs["mini, two processes"] = run(Path(temporary) / "two", args.voc, *few, processes=2)
        if not args.skip_full:
            of_seed = ("--limit", "1", "--weights", str(seeded(work / "weights")), "--absent-class", "skip")
            runs["full size, seeded weights"] = run(Path(temporary) / "full", args.voc, *of_seed)
    (RESULTS / "table1.json").write_text(json.dumps({"conditions": before, "runs": runs}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
