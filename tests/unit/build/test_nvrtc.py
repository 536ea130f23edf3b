"""NVRTC compiles every kernel of csrc, with no GPU here; the results are kept on disk, and not trusted when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.errors import DataError, DeviceError
from repro.ops import _launch, _library, nvrtc
from repro.ops.nvrtc import Functor, KernelCache, Nvrtc

TAKE = Functor("repro::pool::TakeFromOwner<float>", 24, 8)
TARGET = "compute_80"
FOLDERS = sorted(p.parent.name for p in (Path(__file__).resolve().parents[3] / "csrc").glob("*/cuda.cu"))


@pytest.fixture(scope="module")
def compiler() -> Nvrtc:
    found = nvrtc.find()
    if found is None:
        pytest.skip("no NVRTC here: pip install nvidia-cuda-nvrtc")
    return found


class Counting(KernelCache):
    """A cache whose compiler counts how often it is asked."""

    compiled = 0

    def __init__(self, compiler: Nvrtc, folder: Path, headers: dict[str, str] | None = None) -> None:
        super().__init__(compiler, folder, headers)
        outer = self

        class Counter(Nvrtc):
            def compile(self, *arguments, **options):
                outer.compiled += 1
                return super().compile(*arguments, **options)

        self.nvrtc = Counter(compiler.path)


@pytest.mark.skipif(not _library.NVRTC_LIBRARY.is_file(), reason="_C_nvrtc.so, which lists the kernels, is not built")
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_kernel_compiles(compiler: Nvrtc, folder: str) -> None:
    """And each functor has the size and alignment that it has on the host, which a static_assert holds up."""
    functors = [f for f in _launch.Launcher(_library.NVRTC_LIBRARY).functors() if f.header == f"{folder}/kernels.h"]
    assert functors
    symbols, image = compiler.compile(functors, TARGET, nvrtc.sources())
    assert len(set(symbols)) == len(functors)
    for symbol in symbols:
        assert f".entry {symbol}(".encode() in image


def test_a_functor_that_differs_between_host_and_device_is_refused(compiler: Nvrtc) -> None:
    with pytest.raises(DeviceError, match="not as on the host"):
        compiler.compile([TAKE._replace(size=32)], TARGET, nvrtc.sources())


def test_an_unknown_functor_is_refused_with_the_compilers_words(compiler: Nvrtc) -> None:
    with pytest.raises(DeviceError, match="NoSuchThing"):
        compiler.compile([Functor("repro::pool::NoSuchThing", 8, 8)], TARGET, nvrtc.sources())
    with pytest.raises(DeviceError, match="no functor of an op's folder"):
        Functor("std::less<int>", 1, 1).header  # noqa: B018


def test_a_kernel_is_compiled_once(compiler: Nvrtc, tmp_path: Path) -> None:
    cache = Counting(compiler, tmp_path / "new" / "folder")
    first = cache.get(TAKE, TARGET)
    assert cache.get(TAKE, TARGET) == first
    assert cache.compiled == 1
    again = Counting(compiler, tmp_path / "new" / "folder")
    assert again.get(TAKE, TARGET) == first
    assert again.compiled == 0
    assert b"TakeFromOwner" in first.image
    assert first.symbol.encode() in first.image


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: b"", lambda data: data[:40], lambda data: data[:99] + b"!" + data[100:]],
    ids=["truncated", "empty", "no image", "one byte"],
)
def test_a_damaged_entry_is_compiled_again(compiler: Nvrtc, tmp_path: Path, damage) -> None:
    cache = Counting(compiler, tmp_path)
    kernel = cache.get(TAKE, TARGET)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    again = cache.get(TAKE, TARGET)
    assert (again.symbol, cache.compiled) == (kernel.symbol, 2)
    assert cache.get(TAKE, TARGET) == again
    assert cache.compiled == 2


def test_the_entry_depends_on_all_that_goes_into_it(compiler: Nvrtc, tmp_path: Path) -> None:
    headers = nvrtc.sources()
    cache = KernelCache(compiler, tmp_path, headers)
    other = KernelCache(compiler, tmp_path, headers | {"scalar.h": headers["scalar.h"] + "// more\n"})
    later = Nvrtc(compiler.path)
    later.version = "99.9"
    newer = KernelCache(later, tmp_path, headers)
    entries = [
        cache.entry(TAKE, TARGET),
        cache.entry(TAKE, "sm_90"),
        cache.entry(TAKE._replace(size=16), TARGET),
        other.entry(TAKE, TARGET),
        newer.entry(TAKE, TARGET),
    ]
    assert len(set(entries)) == len(entries)


def test_a_folder_that_cannot_be_written_costs_only_time(compiler: Nvrtc, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Counting(compiler, tmp_path / "file" / "cache")
    assert cache.get(TAKE, TARGET).symbol == cache.get(TAKE, TARGET).symbol
    assert cache.compiled == 2


def test_two_processes_share_a_folder(compiler: Nvrtc, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from repro.ops.nvrtc import *;"
        f"kernel = KernelCache(Nvrtc({compiler.path!r}), Path(sys.argv[1])).get(Functor{tuple(TAKE)!r}, {TARGET!r});"
        "print(kernel.symbol, len(kernel.image))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert said[0] == said[1] != ""
    assert [p.suffix for p in tmp_path.iterdir()] == [".kernel"]


def test_the_target_is_the_devices_own_or_the_newest_before_it(compiler: Nvrtc) -> None:
    assert compiler.target((9, 0)) == "sm_90"
    newest = compiler.architectures()[-1]
    assert compiler.target((99, 0)) == f"compute_{newest}"
    with pytest.raises(DeviceError, match=r"and later, the device has 3\.5"):
        compiler.target((3, 5))


def test_a_file_that_is_no_nvrtc_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "libnvrtc.so"
    other.write_bytes(b"\x7fELF and no more")
    with pytest.raises(DeviceError, match="is no NVRTC that can be used"):
        Nvrtc(other)
    with pytest.raises(DeviceError, match="is no NVRTC that can be used"):
        Nvrtc(_library.CPU_LIBRARY)
    monkeypatch.setenv("REPRO_NVRTC", str(other))
    nvrtc.find.cache_clear()
    try:
        assert nvrtc.find() is None
    finally:
        nvrtc.find.cache_clear()


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPRO_NVRTC", raising=False)
    for name in ("libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.13"):
        (tmp_path / "lib64").mkdir(exist_ok=True)
        (tmp_path / "lib64" / name).touch()
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    ours = [Path(c).name for c in nvrtc.candidates() if c.startswith(str(tmp_path))]
    assert ours == ["libnvrtc.so.13", "libnvrtc.so.12"]
    monkeypatch.setenv("REPRO_NVRTC", "/my/libnvrtc.so")
    assert list(nvrtc.candidates()) == ["/my/libnvrtc.so"]


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REPRO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert nvrtc.cache_folder() == tmp_path / "repro" / "nvrtc"
    monkeypatch.setenv("REPRO_CACHE", str(tmp_path / "mine"))
    assert nvrtc.cache_folder() == tmp_path / "mine" / "nvrtc"


def test_missing_headers_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("repro.paths._root", lambda: tmp_path)
    with pytest.raises(DataError, match="headers of the CUDA kernels are missing"):
        nvrtc.sources()


def pretend_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **files: bool) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=0: (9, 0))
    for name in ("CUDA_LIBRARY", "NVRTC_LIBRARY"):
        monkeypatch.setattr(_library, name, tmp_path / name)
        if files.get(name):
            (tmp_path / name).write_bytes(b"\x7fELF no library")


def test_with_a_gpu_and_no_kernels_both_ways_out_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend_a_gpu(monkeypatch, tmp_path, NVRTC_LIBRARY=True)
    monkeypatch.setattr(nvrtc, "find", lambda: None)
    route = _library._open_cuda()
    assert route.kind == "none"
    assert "not built by nvcc" in route.why
    assert "pip install nvidia-cuda-nvrtc" in route.why


def test_without_a_driver_the_reason_is_the_drivers(
    compiler: Nvrtc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a driver")
    pretend_a_gpu(monkeypatch, tmp_path, CUDA_LIBRARY=True, NVRTC_LIBRARY=True)
    why = _library._open_cuda().why
    assert "CUDA_LIBRARY does not load" in why
    assert "CUDA's driver does not load" in why


@pytest.mark.parametrize("wish", ["nvcc", "nvrtc"])
def test_a_wish_that_cannot_be_had_is_an_error(wish: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REPRO_KERNELS", wish)
    pretend_a_gpu(monkeypatch, tmp_path)
    with pytest.raises(DeviceError, match=f"REPRO_KERNELS={wish} cannot be had"):
        _library._open_cuda()
    monkeypatch.setenv("REPRO_KERNELS", "0")
    assert _library._open_cuda() == ("none", "not in use: REPRO_KERNELS=0")
    monkeypatch.setenv("REPRO_KERNELS", "gcc")
    with pytest.raises(DeviceError, match="expected one of auto, nvcc, nvrtc, 0"):
        _library._open_cuda()
