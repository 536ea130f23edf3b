"""What `caffe.set_mode_*`, `set_device` and `set_random_seed` set: the device and numerics of nets, for the process.

`REPRO_DEVICE` (cpu, cuda, cuda:N) and `REPRO_NUMERICS` (native, exact) stand over what a script says, so that a script
written for one machine runs on another unedited.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import torch

from repro.errors import DeviceError, InputError

TRAIN, TEST = 0, 1
PHASE_NAMES = {TRAIN: "TRAIN", TEST: "TEST"}


@dataclass
class _Mode:
    gpu: bool = False
    device: int = 0
    seed: int | None = None


_MODE = _Mode()


def set_mode_cpu() -> None:
    """Nets run on the CPU."""
    _MODE.gpu = False


def set_mode_gpu() -> None:
    """Nets run on the CUDA device `set_device` chose.

    DeviceError where there is none, unless REPRO_DEVICE says where to run instead.
    """
    forced = os.environ.get("REPRO_DEVICE")
    if forced:
        if not forced.startswith("cuda"):
            warnings.warn(f"set_mode_gpu: REPRO_DEVICE={forced} stands over it", stacklevel=2)
    elif not torch.cuda.is_available():
        raise DeviceError(
            f"set_mode_gpu: torch {torch.__version__} sees no CUDA device; set the environment variable "
            "REPRO_DEVICE=cpu to run this script on the CPU"
        )
    _MODE.gpu = True


def set_device(number: int) -> None:
    """The CUDA device of `set_mode_gpu`."""
    if int(number) < 0:
        raise InputError(f"set_device({number}): a device number is not negative")
    _MODE.device = int(number)


def set_random_seed(seed: int) -> None:
    """Seeds the fillers, dropout and the data layers of nets built and run from here on."""
    if not 0 <= int(seed) < 1 << 63:
        raise InputError(f"set_random_seed({seed}): a seed is between 0 and 2**63 - 1")
    _MODE.seed = int(seed)
    torch.manual_seed(int(seed))


def random_seed() -> int | None:
    """The seed of `set_random_seed`, None where none was set."""
    return _MODE.seed


def device_now() -> torch.device:
    """Where a net that was given no device of its own runs."""
    forced = os.environ.get("REPRO_DEVICE")
    if forced:
        try:
            return torch.device(forced)
        except RuntimeError:
            raise DeviceError(f"REPRO_DEVICE={forced}: expected cpu, cuda or cuda:N") from None
    return torch.device("cuda", _MODE.device) if _MODE.gpu else torch.device("cpu")


def numerics_now() -> str:
    """The numerics of a net that was given none of its own."""
    return os.environ.get("REPRO_NUMERICS") or "native"


def phase_name(phase: object) -> str:
    """ "TRAIN" or "TEST" for caffe.TRAIN, caffe.TEST or either name; InputError for anything else."""
    if isinstance(phase, str) and phase in PHASE_NAMES.values():
        return phase
    if isinstance(phase, int) and phase in PHASE_NAMES:
        return PHASE_NAMES[phase]
    raise InputError(f"phase is {phase!r}; expected caffe.TRAIN (0) or caffe.TEST (1)")
