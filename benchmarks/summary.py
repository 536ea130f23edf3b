"""`repro summary` of large prototxts, as whole processes: start-up, reading, shapes, printing.

    python benchmarks/summary.py [--turns N] [PROTOTXT …]

Without files: chains of convolution, batch normalisation, scale and ReLU of 100 to 20,000 layers, made here, of about
seven lines a layer (5,000 lines are 700 layers), and the full DeconvNet. Beside each, in turns, a process that only
imports torch. Medians with quartiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import RESULTS, ROOT, conditions


def chain(layers: int) -> str:
    """A net of so many layers."""
    text = ['name: "chain"\ninput: "data"\ninput_shape {\n  dim: [1, 8, 64, 64]\n}\n']
    bottom = "data"
    for at in range(layers):
        kind = ("Convolution", "BatchNorm", "Scale", "ReLU")[at % 4]
        top = f"blob{at}" if at % 4 == 0 else bottom
        options = "  convolution_param {\n    num_output: 8 kernel_size: 3 pad: 1\n  }\n" if at % 4 == 0 else ""
        text.append(
            f'layer {{\n  name: "layer{at}"\n  type: "{kind}"\n  bottom: "{bottom}"\n  top: "{top}"\n{options}}}\n'
        )
        bottom = top
    return "".join(text)


def seconds(*arguments: str) -> float:
    """One process of this interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr.strip()[-1000:]}")
    return took


def spread(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "quartile_low": low, "quartile_high": high}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("prototxt", nargs="*", type=Path)
    parser.add_argument("--turns", type=int, default=7, help="processes each, at least 2 (default: 7)")
    args = parser.parse_args()
    before, rows = conditions(), []
    with tempfile.TemporaryDirectory() as folder:
        files: list[Path] = args.prototxt
        if not files:
            files = [ROOT / "prototxt" / "deconvnet" / "deploy.prototxt"]
            for layers in (100, 700, 2000, 20_000):
                files.append(Path(folder) / f"chain_{layers}.prototxt")
                files[-1].write_text(chain(layers))
        for file in files:
            lines = len(file.read_text(errors="replace").splitlines())
            ours, torch = [], []
            for _ in range(max(args.turns, 2)):
                ours.append(seconds("-m", "repro", "summary", str(file)))
                torch.append(seconds("-c", "import torch"))
            row: dict[str, Any] = {"net": file.name, "lines": lines, "turns": len(ours)}
            rows.append(row | {"summary_s": spread(ours), "import_torch_s": spread(torch)})
            print(
                f"{file.name:<28} {lines:7} lines  summary {statistics.median(ours):6.3f} s  "
                f"import torch {statistics.median(torch):6.3f} s"
            )
    path = RESULTS / "summary.json"
    path.write_text(json.dumps({"benchmark": "summary", "conditions": before, "rows": rows}, indent=1) + "\n")
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
