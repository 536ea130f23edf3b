"""Builds the extension beside the package; what and how is in ``repro/_build.py``, the metadata in ``pyproject.toml``.

``python setup.py build_ext --plan`` says what would be chosen, why, and with which commands, and builds nothing.

Environment: ``REPRO_CUDA=0|1|auto``, ``CUDA_HOME``, ``TORCH_CUDA_ARCH_LIST``, ``CXX``, ``CXXFLAGS``, ``NVCC_FLAGS``,
``MAX_JOBS``.
"""

import importlib.util
import os
import shlex
import shutil
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
LARGEST_SHIPPED = 16 << 20  # bytes; a downloaded full-size model lying in weights/ must not end up in a wheel


def load_build_rules():
    # By path, because `import repro` would need what is only about to be built.
    spec = importlib.util.spec_from_file_location("repro_build", ROOT / "repro" / "_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules = load_build_rules()


class BuildExtension(build_ext):
    """``build_ext`` that runs the steps of ``repro/_build.py`` and says what it chose and why."""

    user_options = [*build_ext.user_options, ("plan", None, "print the choices and the commands, and build nothing")]  # noqa: RUF012
    boolean_options = [*build_ext.boolean_options, "plan"]  # noqa: RUF012

    def initialize_options(self):
        super().initialize_options()
        self.plan = False

    def run(self):
        try:
            self.build_libraries()
        except rules.BuildError as error:
            raise SystemExit(f"error: {error}") from error

    def build_libraries(self):
        torch = rules.find_torch()
        choice = rules.choose_cuda(os.environ, torch)
        work = ROOT / "build" / "extension"
        print(f"repro: torch {torch.version} in {torch.folder}")
        print("repro: CPU part: yes, always")
        print("repro: NVRTC part: yes, always (for a GPU without nvcc; needs neither to build)")
        print(f"repro: CUDA part: {'yes' if choice.build else 'no'} ({choice.why})")
        steps = rules.cpu_steps(ROOT, work, torch, os.environ)
        nvrtc = rules.nvrtc_steps(ROOT, work, torch, os.environ)
        made = [steps[-1].output, nvrtc[-1].output]
        steps += nvrtc
        if choice.build and rules.cuda_sources(ROOT):
            archs = os.environ.get("TORCH_CUDA_ARCH_LIST") or rules.DEFAULT_ARCH_LIST
            print(f"repro: {choice.nvcc} for architectures {archs}")
            cuda = rules.cuda_steps(ROOT, work, torch, os.environ, choice.nvcc)
            made.append(cuda[-1].output)
            steps += cuda
        if self.plan:
            for step in steps:
                print(shlex.join(step.command))
            return
        try:
            rules.run(steps, work, jobs=int(os.environ.get("MAX_JOBS", "0")) or None)
        except rules.BuildError as error:
            if not choice.build:
                raise
            raise rules.BuildError(f"{error}; REPRO_CUDA=0 builds without the CUDA part") from error
        self.place(made)

    def place(self, made):
        inplace = self.inplace or getattr(self, "editable_mode", False)
        package = ROOT / "repro" if inplace else Path(self.build_lib) / "repro"
        package.mkdir(parents=True, exist_ok=True)
        for stale in package.glob("_C*.so"):
            stale.unlink()  # never written over: a running Python may have the old one mapped
        for library in made:
            shutil.copy2(library, package / library.name)
            print(f"repro: built {package / library.name}")

    def get_outputs(self):
        return [str(p) for p in (Path(self.build_lib) / "repro").glob("_C*.so")]


class Wheel(bdist_wheel):
    """One wheel for every Python 3: the libraries have no module init and use torch's stable ABI only."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


def data_files():
    found = []
    for top in ("prototxt", "weights", "csrc"):
        for folder, _, names in sorted(os.walk(ROOT / top)):
            # of csrc the headers: what NVRTC compiles
            paths = [Path(folder) / n for n in sorted(names) if top != "csrc" or n.endswith(".h")]
            small = [str(p.relative_to(ROOT)) for p in paths if p.stat().st_size <= LARGEST_SHIPPED]
            if small:
                found.append((str(Path("share/repro") / Path(folder).relative_to(ROOT)), small))
    return found


setup(
    ext_modules=[Extension("repro._C", [str(p.relative_to(ROOT)) for p in rules.cpu_sources(ROOT)])],
    cmdclass={"build_ext": BuildExtension, "bdist_wheel": Wheel},
    data_files=data_files(),
)
