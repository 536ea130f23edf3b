"""Reading a large .caffemodel: ours beside OpenCV's importer and Google's protobuf, each reading in its own process.

    python benchmarks/read_model.py [--opencv PYTHON] [--protobuf PYTHON] [--folder DIR] [--turns N]

PYTHON is the interpreter of an environment with that peer (and NumPy): ``opencv-contrib-python-headless==4.14.0.94``,
``protobuf``. Without one the peer's rows are left out. The models are made from a seed: the full DeconvNet (1 GB,
which OpenCV cannot build: it has no Unpooling) and VGG-16 as a convolutional net (0.5 GB). Readers take turns, file in
the page cache; the figures are medians with quartiles over processes. ``fresh_memory`` is the time the machine takes to
hand out and clear as much memory as the file has: on a virtual machine that first has to get it from its host, that is
most of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import RESULTS, ROOT, conditions

WORKER = Path(__file__).with_name("read_model_worker.py")


def net_of(name: str, folder: Path) -> tuple[Path, Path]:
    """Prototxt and model of a net, made unless they are there."""
    prototxt, model = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
    own = ROOT / "prototxt" / name / "deploy.prototxt"
    prototxt.write_text(own.read_text() if own.exists() else vgg16())
    if not model.exists():
        command = [sys.executable, "-m", "repro.seeded", str(prototxt), str(model)]
        subprocess.run(command, cwd=ROOT, env=_env(), check=True)
    return prototxt, model


def vgg16() -> str:
    """VGG-16 (Simonyan and Zisserman 2015, configuration D) with its inner products as convolutions."""
    lines, bottom = ["name: 'VGG16' input: 'data' input_shape { dim: [1, 3, 224, 224] }"], "data"

    def layer(name: str, type_: str, options: str = "", top: str = "") -> None:
        nonlocal bottom
        lines.append(f"layer {{ name: '{name}' type: '{type_}' bottom: '{bottom}' top: '{top or name}' {options} }}")
        bottom = top or name

    def convolution(name: str, outputs: int, kernel: int, pad: int) -> None:
        size = f"num_output: {outputs} kernel_size: {kernel} pad: {pad}"
        layer(name, "Convolution", f"convolution_param {{ {size} }}")
        layer(f"relu_{name}", "ReLU", top=name)

    for block, (count, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for at in range(1, count + 1):
            convolution(f"conv{block}_{at}", outputs, 3, 1)
        layer(f"pool{block}", "Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }")
    for name, outputs, kernel in (("fc6", 4096, 7), ("fc7", 4096, 1), ("fc8", 1000, 1)):
        convolution(name, outputs, kernel, 0)
    return "\n".join(lines) + "\n"


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def once(reader: str, python: str, prototxt: Path, model: Path) -> dict[str, float]:
    """One process."""
    command = [python, str(WORKER), reader, str(prototxt), str(model)]
    done = subprocess.run(command, env=_env(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{reader} on {model.name}: {done.stderr.strip()[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def middle(values: list[float]) -> dict[str, float]:
    low, _, high = statistics.quantiles(values, n=4)
    return {"median": statistics.median(values), "quartile_low": low, "quartile_high": high, "least": min(values)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--opencv", metavar="PYTHON")
    parser.add_argument("--protobuf", metavar="PYTHON")
    parser.add_argument("--folder", type=Path, help="where the models are kept (default: a temporary folder)")
    parser.add_argument("--turns", type=int, default=7, help="processes per reader, at least 2 (default: 7)")
    args = parser.parse_args()
    pythons = {"net": sys.executable, "bare": sys.executable, "fresh_memory": sys.executable}
    pythons |= {"protobuf": args.protobuf, "protobuf_arrays": args.protobuf} if args.protobuf else {}
    readers = {"deconvnet": list(pythons), "vgg16": [*pythons, *(["opencv"] if args.opencv else [])]}
    pythons["opencv"] = args.opencv
    before, rows = conditions(), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for net, names in readers.items():
            prototxt, model = net_of(net, folder)
            megabytes = model.stat().st_size / 2**20
            found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
            once("bare", sys.executable, prototxt, model)  # the file into the page cache
            for turn in range(max(args.turns, 2)):
                for name in names if turn % 2 == 0 else names[::-1]:
                    found[name].append(once(name, pythons[name], prototxt, model))
            rows += [row(net, name, megabytes, found[name]) for name in names]
    path = RESULTS / "read_model.json"
    note = "seconds: from the file's name to every value at hand, imports apart; peak: resident, in MiB"
    path.write_text(
        json.dumps({"benchmark": "read_model", "conditions": before, "note": note, "rows": rows}, indent=1) + "\n"
    )
    print(f"written to {path}")
    return 0


def row(net: str, reader: str, megabytes: float, found: list[dict[str, float]]) -> dict[str, Any]:
    """What one reader took, printed too."""
    made: dict[str, Any] = {"net": net, "reader": reader, "file_mb": megabytes, "turns": len(found)}
    made |= {key: middle([f[key] for f in found]) for key in ("seconds", "cpu_seconds", "import_seconds")}
    peak, beyond = (max(f[key] for f in found) for key in ("peak_mb", "peak_mb_beyond_imports"))
    made |= {"peak_mb": peak, "peak_over_file": peak / megabytes, "peak_beyond_imports_over_file": beyond / megabytes}
    seconds, cpu = made["seconds"], made["cpu_seconds"]["median"]
    print(
        f"{net:<10} {reader:<16} {seconds['median']:7.3f} s [{seconds['quartile_low']:.3f}, "
        f"{seconds['quartile_high']:.3f}], least {seconds['least']:.3f}, cpu {cpu:.3f}; peak {peak:.0f} MiB = "
        f"{peak / megabytes:.2f} x file, {beyond / megabytes:.2f} x beyond the imports"
    )
    return made


if __name__ == "__main__":
    raise SystemExit(main())
