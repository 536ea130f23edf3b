"""pycaffe without Caffe: ``import repro.pycaffe as caffe``. What is the same and what is not: docs/pycaffe.md."""

from __future__ import annotations

from repro.layers import supported_types as layer_type_list
from repro.pycaffe import io, proto
from repro.pycaffe.classifier import Classifier
from repro.pycaffe.detector import Detector
from repro.pycaffe.installing import install
from repro.pycaffe.layer import Layer
from repro.pycaffe.mode import TEST, TRAIN, set_device, set_mode_cpu, set_mode_gpu, set_random_seed
from repro.pycaffe.net import Net
from repro.pycaffe.net_spec import NetSpec, layers, params, to_proto
from repro.pycaffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)

# the version of Caffe whose behaviour this is
__version__ = "1.0.0"

__all__ = [
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "get_solver",
    "has_nccl",
    "init_log",
    "install",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "params",
    "proto",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
    "solver_count",
    "to_proto",
]


def init_log(*_level: object) -> None:
    """Nothing to start: what Caffe logs is printed or raised."""


def log(message: str) -> None:
    """Print a line."""
    print(message)


def has_nccl() -> bool:
    """No training on several GPUs at once."""
    return False


def solver_count() -> int:
    """Solvers that train together: one."""
    return 1
