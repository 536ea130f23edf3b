"""Opening the compiled extension: what is missing or broken is said with the command that mends it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from repro._build import BUILD_COMMAND
from repro.errors import DeviceError
from repro.ops import _library


def test_a_missing_extension_names_the_build_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_library, "CPU_LIBRARY", tmp_path / "_C.so")
    with pytest.raises(DeviceError, match=f"missing.*{BUILD_COMMAND}"):
        _library.load()


def test_a_broken_extension_names_the_build_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "_C.so"
    broken.write_bytes(b"\x7fELF no library")
    monkeypatch.setattr(_library, "CPU_LIBRARY", broken)
    with pytest.raises(DeviceError, match=f"does not load.*{BUILD_COMMAND}"):
        _library.load()


def test_loading_twice_is_loading_once() -> None:
    _library.load()


def test_the_cuda_kernels_are_not_even_looked_at_without_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    broken = tmp_path / "_C_cuda.so"
    broken.write_bytes(b"no library at all")
    monkeypatch.setattr(_library, "CUDA_LIBRARY", broken)
    _library.load()
    assert not _library.cuda_loaded()
    assert _library.cuda_route().why.startswith("not in use")


def test_an_error_of_torch_is_not_taken_for_one_of_the_input() -> None:
    with pytest.raises(RuntimeError, match="expected float32"):
        torch.ops.repro.max_pool_switches(torch.zeros(1, 1, 2, 2).long(), [2, 2], [2, 2], [0, 0], True)
    with pytest.raises(RuntimeError) as caught:
        _library.call(torch.ops.repro.unpool_mask.default, torch.zeros(1), torch.zeros(1), ["two", "three"])
    assert not isinstance(caught.value, DeviceError)
