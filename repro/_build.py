"""The one list of sources, flags and choices for the C++ and CUDA extension; ``setup.py`` loads this file by path.

It imports neither torch nor the rest of the project: torch is only located on disk, so a build starts at once and a
broken or missing extension cannot stand in the way of building it.

Three shared objects, all opened with ``torch.ops.load_library`` and none tied to a Python or a later torch:

``_C.so``        the schemas and the CPU kernels
``_C_cuda.so``   the CUDA kernels; needs ``nvcc`` to build but no GPU and no CUDA build of torch
``_C_nvrtc.so``  the same CUDA ops for a build without ``nvcc``: all but the kernels, which NVRTC compiles on the user's
                 machine, from the headers in ``csrc``, when they are first launched; needs a C++ compiler only

A new op needs no edit here: every ``csrc/*/*.cpp`` belongs to the first, every ``csrc/*/*.cu`` and
``csrc/*/*_binding.cpp`` to the other two, of which one is opened.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

BUILD_COMMAND = "python setup.py build_ext --inplace"

# The oldest torch whose stable ABI has all we call; the binary then serves every later one.
TORCH_TARGET_VERSION = "0x020a000000000000"

# No -march: one binary must start on every x86-64, and where wider vectors pay the function itself carries clones for
# them. -ffp-contract=off because a fused multiply-add would round once where the original rounds twice. The two -fno-*
# change no value; they only allow comparisons and square roots to be vectorised. -Wno-psabi: vectors wider than the
# baseline's are passed between inlined functions only, so no ABI is touched.
CXX_FLAGS = (
    "-std=c++20",
    "-O3",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-psabi",
    f"-DTORCH_TARGET_VERSION={TORCH_TARGET_VERSION}",
)

# -fmad=false is nvcc's name for -ffp-contract=off.
NVCC_FLAGS = ("-std=c++20", "-O3", "-fmad=false", "--expt-relaxed-constexpr", "-Xcompiler=-fPIC,-fvisibility=hidden")

DEFAULT_ARCH_LIST = "8.0;9.0+PTX"

LAUNCHER = "nvrtc"  # the folder of csrc that belongs to no op

# For the .cu files read as C++: they hold launches and, for a rehearsal without a GPU, the functors' loops, not worth
# the minute that -O3 would take. At -O1 GCC no longer sees that an array is filled before it is read.
NVRTC_HOST_FLAGS = ("-O1", "-Wno-maybe-uninitialized", "-x", "c++", "-DREPRO_NVRTC_HOST")


class BuildError(Exception):
    """The extension cannot be built: a tool or torch is missing, or a compiler failed."""


class Torch(NamedTuple):
    """An installed torch, as far as a build needs it: its folder, its version and the CUDA it was built with."""

    folder: Path
    version: str
    cuda: str | None


class CudaChoice(NamedTuple):
    """Whether to build the CUDA part, the sentence that says why, and the compiler to do it with."""

    build: bool
    why: str
    nvcc: str | None


class Step(NamedTuple):
    """One command of a build: compile one source or link one library."""

    output: Path
    inputs: tuple[Path, ...]
    command: tuple[str, ...]
    depfile: Path | None


def cpu_sources(root: Path) -> list[Path]:
    """The sources of ``_C.so``: ``csrc/library.cpp`` and each op folder's C++ files but the CUDA bindings."""
    files = sorted(p for p in (root / "csrc").glob("*/*.cpp") if not p.name.endswith("_binding.cpp"))
    return [root / "csrc" / "library.cpp", *(p for p in files if p.parent.name != LAUNCHER)]


def cuda_sources(root: Path) -> list[Path]:
    """The sources of ``_C_cuda.so``: each op folder's ``.cu`` files, which see no torch header, and their bindings."""
    return sorted([*(root / "csrc").glob("*/*.cu"), *(root / "csrc").glob("*/*_binding.cpp")])


def nvrtc_sources(root: Path) -> list[Path]:
    """The sources of ``_C_nvrtc.so``: those of ``_C_cuda.so`` and what launches a kernel by its functor's name."""
    return [*cuda_sources(root), *sorted((root / "csrc" / LAUNCHER).glob("*.cpp"))]


def find_torch() -> Torch:
    """Locate torch without importing it; ``BuildError`` if there is none."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise BuildError("torch is not installed in this Python; install torch >= 2.10 first")
    folder = Path(spec.origin).parent
    text = (folder / "version.py").read_text()
    version = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    cuda = re.search(r"^cuda\b[^=]*= '([^']+)'", text, re.MULTILINE)
    return Torch(folder, version.group(1) if version else "unknown", cuda.group(1) if cuda else None)


def find_nvcc(environ: Mapping[str, str]) -> str | None:
    """The CUDA compiler: of ``CUDA_HOME`` where that is set, else of ``PATH``, else of ``/usr/local/cuda``."""
    home = environ.get("CUDA_HOME")
    if home:
        nvcc = Path(home) / "bin" / "nvcc"
        return str(nvcc) if nvcc.is_file() else None
    return shutil.which("nvcc", path=environ.get("PATH")) or shutil.which("nvcc", path="/usr/local/cuda/bin")


def choose_cuda(environ: Mapping[str, str], torch: Torch) -> CudaChoice:
    """Decide on the CUDA part from ``REPRO_CUDA``: 0 never, 1 always (an error without nvcc), auto (the default).

    ``auto`` builds it wherever nvcc is found, so that the CUDA sources never rot on machines without a GPU. A CPU-only
    torch cannot load the result; who would rather have the half minute sets ``REPRO_CUDA=0``.
    """
    wish = environ.get("REPRO_CUDA", "auto").strip().lower() or "auto"
    if wish not in ("0", "1", "auto"):
        raise BuildError(f"REPRO_CUDA is '{wish}'; expected 0, 1 or auto")
    if wish == "0":
        return CudaChoice(False, "REPRO_CUDA=0", None)
    nvcc = find_nvcc(environ)
    home = environ.get("CUDA_HOME")
    where = f"in CUDA_HOME ({home})" if home else "on PATH or in /usr/local/cuda"
    if wish == "1":
        if nvcc is None:
            raise BuildError(f"REPRO_CUDA=1, but there is no nvcc {where}")
        return CudaChoice(True, "REPRO_CUDA=1", nvcc)
    if nvcc is None:
        return CudaChoice(False, f"no nvcc {where}", None)
    if torch.cuda is None:
        why = (
            f"nvcc is there, so it is compiled and linked, but torch {torch.version} is a CPU build and cannot load it"
        )
        return CudaChoice(True, f"{why}; REPRO_CUDA=0 leaves it out", nvcc)
    return CudaChoice(True, f"nvcc is there and torch {torch.version} is a CUDA build", nvcc)


def arch_flags(arch_list: str) -> list[str]:
    """nvcc's ``-gencode`` flags for a ``TORCH_CUDA_ARCH_LIST`` such as ``"8.0;9.0+PTX"`` (also space-separated)."""
    flags = []
    for arch in re.split(r"[;,\s]+", arch_list.strip()):
        match = re.fullmatch(r"(\d+)\.(\d+[af]?)(\+PTX)?", arch)
        if match is None:
            raise BuildError(f"TORCH_CUDA_ARCH_LIST: '{arch}' is no architecture; expected, say, {DEFAULT_ARCH_LIST}")
        number = match.group(1) + match.group(2)
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if match.group(3):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


def _includes(root: Path, torch: Torch) -> list[str]:
    return [f"-I{root / 'csrc'}", "-isystem", str(torch.folder / "include")]


def cpu_steps(root: Path, work: Path, torch: Torch, environ: Mapping[str, str]) -> list[Step]:
    """The commands that make ``work/_C.so``; the last one links."""
    cxx = shlex.split(environ.get("CXX", "c++"))
    extra = shlex.split(environ.get("CXXFLAGS", ""))
    flags = [*CXX_FLAGS, *_includes(root, torch), *extra]
    steps = [_compile(source, root, work / "cpu", [*cxx, *flags]) for source in cpu_sources(root)]
    objects = tuple(step.output for step in steps)
    out = work / "_C.so"
    # -z defs: a symbol that nothing defines stops the build here and not the user's program later.
    link = ["-shared", "-o", str(out), *map(str, objects), f"-L{torch.folder / 'lib'}", "-ltorch_cpu", "-Wl,-z,defs"]
    return [*steps, Step(out, objects, (*cxx, *link), None)]


def cuda_steps(root: Path, work: Path, torch: Torch, environ: Mapping[str, str], nvcc: str) -> list[Step]:
    """The commands that make ``work/_C_cuda.so``; the last one links."""
    device = [nvcc, *NVCC_FLAGS, *arch_flags(environ.get("TORCH_CUDA_ARCH_LIST") or DEFAULT_ARCH_LIST)]
    device += [f"-I{root / 'csrc'}", *shlex.split(environ.get("NVCC_FLAGS", ""))]
    kernels = [_compile(s, root, work / "cuda", device) for s in cuda_sources(root) if s.suffix == ".cu"]
    steps = [*kernels, *_binding_steps(root, work, torch, environ)]
    objects = tuple(step.output for step in steps)
    out = work / "_C_cuda.so"
    # No -z defs: the stream lives in libtorch_cuda, which a CPU-only torch lacks and which libtorch brings where it is.
    # The CUDA runtime is linked statically, so the binary does not depend on which one torch was shipped with.
    link = ["-shared", "-cudart=static", "-o", str(out), *map(str, objects), f"-L{torch.folder / 'lib'}"]
    link += ["-Xlinker=--no-as-needed", "-ltorch_cpu", "-ltorch"]
    return [*steps, Step(out, objects, (nvcc, *link), None)]


def nvrtc_steps(root: Path, work: Path, torch: Torch, environ: Mapping[str, str]) -> list[Step]:
    """The commands that make ``work/_C_nvrtc.so``; the last one links."""
    cxx = shlex.split(environ.get("CXX", "c++"))
    extra = shlex.split(environ.get("CXXFLAGS", ""))
    host = [*cxx, *CXX_FLAGS, *NVRTC_HOST_FLAGS, f"-I{root / 'csrc'}", *extra]
    seen = [s for s in nvrtc_sources(root) if not s.name.endswith("_binding.cpp")]
    steps = [*(_compile(s, root, work / "nvrtc", host) for s in seen), *_binding_steps(root, work, torch, environ)]
    objects = tuple(step.output for step in steps)
    out = work / "_C_nvrtc.so"
    link = ["-shared", "-o", str(out), *map(str, objects), f"-L{torch.folder / 'lib'}"]
    link += ["-Wl,--no-as-needed", "-ltorch_cpu", "-ltorch", "-Wl,-z,defs"]
    return [*steps, Step(out, objects, (*cxx, *link), None)]


def _binding_steps(root: Path, work: Path, torch: Torch, environ: Mapping[str, str]) -> list[Step]:
    # The objects are the same for both CUDA libraries. They check, allocate and launch: no loop to optimise.
    cxx = shlex.split(environ.get("CXX", "c++"))
    flags = [*CXX_FLAGS, "-O1", "-DUSE_CUDA", *_includes(root, torch), *shlex.split(environ.get("CXXFLAGS", ""))]
    bindings = [s for s in cuda_sources(root) if s.suffix != ".cu"]
    return [_compile(s, root, work / "binding", [*cxx, *flags]) for s in bindings]


def _compile(source: Path, root: Path, work: Path, command: Sequence[str]) -> Step:
    obj = work / source.relative_to(root).with_suffix(f"{source.suffix}.o")
    depfile = obj.with_suffix(".d")
    return Step(obj, (source,), (*command, "-MMD", "-MF", str(depfile), "-c", str(source), "-o", str(obj)), depfile)


def run(steps: Sequence[Step], work: Path, jobs: int | None = None) -> None:
    """Run the steps, with ninja (parallel, and only what changed) where it is found, else all of them in order.

    A step that two libraries share is run once.
    """
    steps = list({step.output: step for step in steps}.values())
    for step in steps:
        step.output.parent.mkdir(parents=True, exist_ok=True)
    ninja = _find_ninja()
    if ninja is None:
        for step in steps:
            _call(step.command, work)
        return
    work.mkdir(parents=True, exist_ok=True)
    (work / "build.ninja").write_text(ninja_text(steps))
    _call((ninja, *(("-j", str(jobs)) if jobs else ())), work)


def ninja_text(steps: Sequence[Step]) -> str:
    """The steps as a ``build.ninja``."""
    lines = ["ninja_required_version = 1.8", "rule step", "  command = $cmd", "  description = $what"]
    lines += ["rule compile", "  command = $cmd", "  description = $what", "  depfile = $dep", "  deps = gcc"]
    for step in steps:
        rule = "compile" if step.depfile else "step"
        inputs = " ".join(_escape(str(p)) for p in step.inputs)
        lines.append(f"build {_escape(str(step.output))}: {rule} {inputs}")
        lines.append(f"  cmd = {shlex.join(step.command).replace('$', '$$')}")
        lines.append(f"  what = {'compile' if step.depfile else 'link'} {step.output.parent.name}/{step.output.name}")
        if step.depfile:
            lines.append(f"  dep = {step.depfile}")
    return "\n".join(lines) + "\n"


def _escape(path: str) -> str:
    return path.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


def _find_ninja() -> str | None:
    beside = Path(sys.executable).parent / "ninja"
    return shutil.which("ninja") or (str(beside) if os.access(beside, os.X_OK) else None)


def _call(command: Sequence[str], work: Path) -> None:
    try:
        done = subprocess.run(command, cwd=work, check=False)
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error}") from error
    if done.returncode:
        raise BuildError(f"building the extension failed with status {done.returncode}; the compiler's words are above")
