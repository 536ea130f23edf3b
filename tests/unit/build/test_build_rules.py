"""What is built, with what and why: decided by repro/_build.py from the environment alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import pytest

from repro import _build

ROOT = Path(__file__).resolve().parents[3]
CPU_TORCH = _build.Torch(Path("/torch"), "2.13.0+cpu", None)
CUDA_TORCH = _build.Torch(Path("/torch"), "2.13.0+cu130", "13.0")


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    nvcc = tmp_path / "toolkit" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    return tmp_path / "toolkit"


def test_importing_the_rules_does_not_import_torch() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'repro')!r}); import _build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sources() -> None:
    cpu = [p.relative_to(ROOT / "csrc").as_posix() for p in _build.cpu_sources(ROOT)]
    cuda = [p.relative_to(ROOT / "csrc").as_posix() for p in _build.cuda_sources(ROOT)]
    assert cpu[0] == "library.cpp"
    assert "pool/cpu.cpp" in cpu
    assert {"pool/cuda.cu", "pool/cuda_binding.cpp"} <= set(cuda)
    assert not set(cpu) & set(cuda)
    nvrtc = [p.relative_to(ROOT / "csrc").as_posix() for p in _build.nvrtc_sources(ROOT)]
    assert set(nvrtc) == {*cuda, "nvrtc/launcher.cpp"}


def test_the_installed_torch_is_found_without_importing_it() -> None:
    import torch

    found = _build.find_torch()
    assert (found.version, found.cuda) == (torch.__version__, torch.version.cuda)
    assert (found.folder / "include" / "torch" / "csrc" / "stable" / "library.h").is_file()


def test_auto_builds_cuda_wherever_there_is_a_compiler_and_says_if_it_cannot_be_used(toolkit: Path) -> None:
    env = {"CUDA_HOME": str(toolkit)}
    assert _build.choose_cuda(env, CUDA_TORCH) == (True, ANY, str(toolkit / "bin" / "nvcc"))
    choice = _build.choose_cuda(env, CPU_TORCH)
    assert choice.build
    assert "cannot load it; REPRO_CUDA=0 leaves it out" in choice.why


def test_the_environment_overrules(toolkit: Path) -> None:
    home = {"CUDA_HOME": str(toolkit)}
    forced = _build.choose_cuda({**home, "REPRO_CUDA": "1"}, CPU_TORCH)
    assert (forced.build, forced.nvcc) == (True, str(toolkit / "bin" / "nvcc"))
    assert not _build.choose_cuda({**home, "REPRO_CUDA": "0"}, CUDA_TORCH).build


def test_nvcc_on_path_serves_where_cuda_home_is_not_set(toolkit: Path) -> None:
    assert _build.find_nvcc({"PATH": str(toolkit / "bin")}) == str(toolkit / "bin" / "nvcc")


def test_a_cuda_home_without_nvcc_is_not_passed_over(toolkit: Path, tmp_path: Path) -> None:
    env = {"CUDA_HOME": str(tmp_path / "nowhere"), "PATH": str(toolkit / "bin")}
    assert not _build.choose_cuda(env, CUDA_TORCH).build
    with pytest.raises(_build.BuildError, match="no nvcc in CUDA_HOME"):
        _build.choose_cuda({**env, "REPRO_CUDA": "1"}, CUDA_TORCH)


def test_a_wish_that_is_none() -> None:
    with pytest.raises(_build.BuildError, match="expected 0, 1 or auto"):
        _build.choose_cuda({"REPRO_CUDA": "yes"}, CUDA_TORCH)


def test_architectures() -> None:
    assert _build.arch_flags(_build.DEFAULT_ARCH_LIST) == [
        "-gencode=arch=compute_80,code=sm_80",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    ]
    assert _build.arch_flags("7.5 9.0a") == [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_90a,code=sm_90a",
    ]
    with pytest.raises(_build.BuildError, match="'Hopper' is no architecture"):
        _build.arch_flags("8.0;Hopper")


def test_every_command_rounds_as_the_original_does(tmp_path: Path) -> None:
    steps = _build.cpu_steps(ROOT, tmp_path, CPU_TORCH, {}) + _build.cuda_steps(ROOT, tmp_path, CPU_TORCH, {}, "nvcc")
    compiles = [s for s in steps if s.depfile]
    assert compiles
    for step in compiles:
        flag = "-fmad=false" if step.inputs[0].suffix == ".cu" else "-ffp-contract=off"
        assert flag in step.command
        assert not any("fast-math" in word or word.startswith("-march") for word in step.command)


def test_device_code_sees_no_torch_header(tmp_path: Path) -> None:
    for step in _build.cuda_steps(ROOT, tmp_path, CPU_TORCH, {}, "nvcc"):
        if step.inputs[0].suffix == ".cu":
            assert not any("/torch/include" in word for word in step.command)


def test_a_failed_command_is_an_error(tmp_path: Path) -> None:
    step = _build.Step(tmp_path / "out", (), (sys.executable, "-c", "raise SystemExit(3)"), None)
    with pytest.raises(_build.BuildError, match="status"):
        _build.run([step], tmp_path)
    with pytest.raises(_build.BuildError, match="cannot run"):
        _build._call(["/no/such/compiler"], tmp_path)


def test_ninja_file_survives_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "a b$c"
    folder.mkdir()
    step = _build.Step(folder / "o u t", (), (sys.executable, "-c", "open('o u t', 'w').write('$x')"), None)
    _build.run([step], folder)
    assert (folder / "o u t").read_text() == "$x"


@pytest.mark.slow
def test_the_cuda_part_compiles_and_links_here(tmp_path: Path) -> None:
    nvcc = _build.find_nvcc(os.environ)
    if nvcc is None:
        pytest.skip("no nvcc on this machine: the CUDA part cannot be compiled here")
    torch = _build.find_torch()
    _build.run(_build.cuda_steps(ROOT, tmp_path, torch, os.environ, nvcc), tmp_path)
    library = tmp_path / "_C_cuda.so"
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True).stdout
    undefined = [line.split()[-1] for line in symbols.splitlines() if " U " in line]
    # Only the C shims of torch, so that the library serves every later one.
    assert not [s for s in undefined if s.startswith(("_ZN2at", "_ZN3c10", "_ZN5torch"))]
    # Weak, so that the library opens beside a CPU-only torch, which has no streams.
    assert " w aoti_torch_get_current_cuda_stream" in symbols


LIBRARIES = sorted((ROOT / "repro").glob("_C*.so"))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda p: p.name)
def test_a_built_library_touches_torch_through_its_c_shims_only(library: Path) -> None:
    symbols = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in symbols.stdout.splitlines()]
    assert any(n.startswith("aoti_torch_") for n in names)
    assert not [n for n in names if n.startswith(("_ZN2at", "_ZN3c10", "_ZN5torch", "_ZNK2at", "_ZNK3c10", "Py"))]


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda p: p.name)
def test_torch_abi_audit_finds_it_stable_from_the_target_version_on(library: Path) -> None:
    pytest.importorskip("torch_abi_audit", reason="torch-abi-audit is not installed")
    main = "import sys; from torch_abi_audit.cli import main; sys.exit(main())"
    audit = [sys.executable, "-c", main, "--check", "torch", library]
    done = subprocess.run(audit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    target = int(_build.TORCH_TARGET_VERSION, 16)
    (oldest,) = re.findall(r"Min torch: +(\d+)\.(\d+)", done.stdout)
    assert tuple(map(int, oldest)) <= (target >> 56, target >> 48 & 0xFF)


def planned(**environment: str) -> str:
    """What `setup.py build_ext --plan` says in an environment without the variables it obeys."""
    obeyed = ("REPRO_CUDA", "CUDA_HOME", "TORCH_CUDA_ARCH_LIST", "CXX", "CXXFLAGS", "NVCC_FLAGS", "MAX_JOBS")
    clean = {name: value for name, value in os.environ.items() if name not in obeyed}
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--plan"],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_setup_says_what_it_chose_and_why(toolkit: Path) -> None:
    without = planned(REPRO_CUDA="0")
    assert "CUDA part: no (REPRO_CUDA=0)" in without
    assert "NVRTC part: yes" in without
    assert "nvcc -" not in without
    nvcc = str(toolkit / "bin" / "nvcc")
    with_it = planned(CUDA_HOME=str(toolkit), TORCH_CUDA_ARCH_LIST="8.6 12.0+PTX", CXX="my-c++ -pipe", NVCC_FLAGS="-G")
    assert f"{nvcc} for architectures 8.6 12.0+PTX" in with_it
    kernels = [line for line in with_it.splitlines() if line.startswith(nvcc) and ".cu.o" in line and " -c " in line]
    assert kernels
    for line in kernels:
        assert "arch=compute_86,code=sm_86" in line
        assert "arch=compute_120,code=compute_120" in line
        assert "compute_90" not in line
        assert "-G" in line.split()
    assert [line for line in with_it.splitlines() if line.startswith("my-c++ -pipe ")]
    insisted = planned(REPRO_CUDA="1", CUDA_HOME=str(toolkit / "nowhere"))
    assert "error: REPRO_CUDA=1, but there is no nvcc in CUDA_HOME" in insisted
    wrong = planned(CUDA_HOME=str(toolkit), TORCH_CUDA_ARCH_LIST="Hopper")
    assert "TORCH_CUDA_ARCH_LIST: 'Hopper' is no architecture" in wrong
