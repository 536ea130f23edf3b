"""``repro doctor``: what is installed, built and shipped, what is missing, and the command that gets it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import itertools
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from repro import __version__, _build, manifest, paths
from repro.errors import CheckFailed, ReproError

EXTENSION = Path(_build.__file__).parent / "_C.so"
State = Literal["ok", "optional", "missing"]
MARKS: dict[State, str] = {"ok": "ok", "optional": "-", "missing": "MISSING"}


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``missing`` stops the main job, ``optional`` does not; ``remedy`` is a way to get it."""

    group: str
    name: str
    state: State
    value: str
    remedy: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``repro doctor``."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> None:
    """Print the report; CheckFailed, naming them, if things are missing without which the main job cannot run."""
    found = list(findings())
    missing = [finding for finding in found if finding.state == "missing"]
    if args.json:
        print(json.dumps({"version": __version__, "ok": not missing, "findings": [asdict(f) for f in found]}, indent=2))
    else:
        print(as_text(found))
    if missing:
        raise CheckFailed(
            f"missing for the main job: {', '.join(f.name for f in missing)}; the report says how to get it"
        )


def findings() -> Iterator[Finding]:
    """Everything there is to say, group by group; never raises, whatever is broken."""
    yield Finding("versions", "repro", "ok", f"{__version__} ({EXTENSION.parent})")
    yield _python()
    torch, found = _module("torch", "torch", "pip install 'torch>=2.10'")
    yield found
    numpy, found = _module("numpy", "numpy", "pip install 'numpy>=1.26'")
    yield found
    yield _module("scipy", "scipy", "pip install 'scipy>=1.11'")[1]
    yield _module("PIL", "pillow", "pip install 'pillow>=10'")[1]
    yield _module("rich", "rich", "pip install 'rich>=13'")[1]
    cv2, found = _module("cv2", "opencv", "pip install opencv-contrib-python-headless")
    yield found
    if cv2 is not None:
        yield _edge_boxes(cv2)
    yield from _optional_packages()
    yield from _extension(torch)
    if torch is not None:
        yield from _guarded("machine", "torch", "optional", lambda: _torch_facts(torch))
    if numpy is not None:
        yield from _guarded("machine", "numpy", "optional", lambda: _numpy_facts(numpy))
    if torch is not None and numpy is not None and EXTENSION.is_file():
        yield from _guarded("machine", "exact BLAS", "optional", _exact_facts)
    yield Finding("machine", "cores", "ok", _cores())
    yield from _guarded("files", "manifest", "missing", _files)


def as_text(found: list[Finding]) -> str:
    """The report for people: one line per finding under its group, the remedy below where there is one."""
    lines: list[str] = []
    for group, members in itertools.groupby(found, key=lambda finding: finding.group):
        rows = list(members)
        width = max(len(finding.name) for finding in rows) + 2
        lines += ["", group] if lines else [group]
        for finding in rows:
            lines.append(f"  {MARKS[finding.state]:<8}{finding.name:<{width}}{finding.value}")
            if finding.remedy:
                lines.append(f"  {'':<8}{'':<{width}}-> {finding.remedy}")
    return "\n".join(lines)


def _python() -> Finding:
    value = f"{platform.python_version()} ({sys.executable}), {platform.system()} {platform.machine()}"
    return Finding("versions", "python", "ok" if sys.version_info >= (3, 10) else "missing", value)


def _module(module: str, name: str, remedy: str) -> tuple[ModuleType | None, Finding]:
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        what = "not installed" if error.name == module else f"installed, but needs '{error.name}', which is not"
        return None, Finding("versions", name, "missing", what, remedy)
    except Exception as error:  # a binary package can fail in any way when its parts do not fit together
        return None, Finding("versions", name, "missing", f"installed, but does not import: {_line(error)}", remedy)
    return loaded, Finding(
        "versions", name, "ok", str(getattr(loaded, "__version__", "") or _version(name) or "unknown version")
    )


def _edge_boxes(cv2: ModuleType) -> Finding:
    if hasattr(getattr(cv2, "ximgproc", None), "createEdgeBoxes"):
        return Finding("versions", "edge boxes", "ok", "in opencv's ximgproc")
    remedy = "pip uninstall opencv-python opencv-python-headless; pip install opencv-contrib-python-headless"
    return Finding("versions", "edge boxes", "missing", "this opencv has no ximgproc (no contrib modules)", remedy)


def _optional_packages() -> Iterator[Finding]:
    optional = [
        ("matplotlib", ("matplotlib",), "figures", "pip install matplotlib"),
        (
            "nvrtc",
            ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"),
            "GPUs without nvcc",
            "pip install nvidia-cuda-nvrtc",
        ),
    ]
    for name, distributions, purpose, remedy in optional:
        versions = [f"{_version(d)} ({d})" for d in distributions if _version(d)]
        if versions:
            yield Finding("versions", name, "ok", ", ".join(versions))
        else:
            yield Finding("versions", name, "optional", f"not installed; only for {purpose}", remedy)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _extension(torch: ModuleType | None) -> Iterator[Finding]:
    group = "extension"
    target = int(_build.TORCH_TARGET_VERSION, 16)
    abi = f"for torch >= {target >> 56}.{target >> 48 & 0xFF} (stable ABI)"
    if not EXTENSION.is_file():
        yield Finding(group, "CPU kernels", "missing", f"not built ({EXTENSION})", _build.BUILD_COMMAND)
        return
    if torch is None:
        yield Finding(group, "CPU kernels", "missing", f"{EXTENSION}, {abi}; cannot be opened without torch")
        return
    try:
        library = importlib.import_module("repro.ops._library")
        cuda = library.cuda_route()
    except Exception as error:  # whatever stops it stops every network; the report must still be finished
        yield Finding(
            group, "CPU kernels", "missing", f"{EXTENSION} does not load: {_line(error)}", _build.BUILD_COMMAND
        )
        return
    yield Finding(group, "CPU kernels", "ok", f"{EXTENSION}, {abi}")
    yield Finding(group, "CUDA kernels", "optional" if cuda.kind == "none" else "ok", cuda.why)


def _torch_facts(torch: Any) -> Iterator[Finding]:
    group = "machine"
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    yield Finding(group, "CPU capability", "ok", torch.backends.cpu.get_cpu_capability())
    yield Finding(group, "torch BLAS", "ok", blas.group(1) if blas else "unknown")
    yield Finding(group, "torch threads", "ok", str(torch.get_num_threads()))
    if not torch.cuda.is_available():
        why = (
            "this torch is a CPU build"
            if torch.version.cuda is None
            else f"torch was built for CUDA {torch.version.cuda}"
        )
        yield Finding(group, "CUDA devices", "optional", f"none ({why})")
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.cuda.get_device_properties(index)
        memory = f"{device.total_memory / 2**30:.0f} GiB, capability {device.major}.{device.minor}"
        yield Finding(group, f"cuda:{index}", "ok", f"{device.name}, {memory}, CUDA {torch.version.cuda}")


def _numpy_facts(numpy: Any) -> Iterator[Finding]:
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    yield Finding("machine", "numpy BLAS", "ok", f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip())


def _exact_facts() -> Iterator[Finding]:
    from repro.exact import blas_info

    yield Finding("machine", "exact BLAS", "ok", f"{blas_info()} (what numerics='exact' computes with)")


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} usable of {os.cpu_count()}"


def _files() -> Iterator[Finding]:
    entries = manifest.read()
    for name in sorted({entry.prototxt for entry in entries if entry.prototxt}):
        try:
            yield Finding("files", name, "ok", str(paths.prototxt(name)))
        except ReproError as error:
            yield Finding("files", name, "missing", _line(error), "install the project again, or git checkout prototxt")
    for entry in entries:
        if entry.kind == "data":
            continue
        fault = entry.fault()
        if not fault:
            yield Finding("files", entry.name, "ok", f"{entry.path} ({entry.path.stat().st_size:,} bytes)")
        elif entry.shipped:
            remedy = f"install the project again, or git checkout weights/{entry.name}"
            yield Finding("files", entry.name, "missing", fault, remedy)
        else:
            remedy = f"repro fetch {entry.name}, or put it there; licence: {entry.licence}"
            yield Finding("files", entry.name, "optional", f"{fault}; {entry.what}", remedy)


def _guarded(group: str, name: str, state: State, make: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from make()
    except Exception as error:  # a report that ends in a traceback helps nobody who needs one
        yield Finding(group, name, state, f"cannot be examined: {_line(error)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
