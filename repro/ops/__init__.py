"""The torch face of ``csrc/``: one file per op; ``reference`` holds the slow, loop-written truth of each.

The first use of an op opens the compiled extension; ``DeviceError`` names the command that builds it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from repro.ops.sizes import pool_output_size

if TYPE_CHECKING:
    from repro.ops.aggregate import aggregate_max_, aggregate_mean, aggregate_sum_, cover
    from repro.ops.crf import Inference, NormalizedKernel
    from repro.ops.lattice import PermutohedralLattice
    from repro.ops.pool import mask_to_switches, max_pool_switches, switches_to_mask
    from repro.ops.pool_fused import scale_shift_relu_pool
    from repro.ops.unpool import avg_unpool, corner_unpool, max_unpool_switches, tile_unpool, unpool_mask

__all__ = [
    "Inference",
    "NormalizedKernel",
    "PermutohedralLattice",
    "aggregate_max_",
    "aggregate_mean",
    "aggregate_sum_",
    "avg_unpool",
    "corner_unpool",
    "cover",
    "mask_to_switches",
    "max_pool_switches",
    "max_unpool_switches",
    "pool_output_size",
    "scale_shift_relu_pool",
    "switches_to_mask",
    "tile_unpool",
    "unpool_mask",
]

_FILES = {
    "aggregate": ("aggregate_max_", "aggregate_mean", "aggregate_sum_", "cover"),
    "crf": ("Inference", "NormalizedKernel"),
    "lattice": ("PermutohedralLattice",),
    "pool": ("mask_to_switches", "max_pool_switches", "switches_to_mask"),
    "pool_fused": ("scale_shift_relu_pool",),
    "unpool": ("avg_unpool", "corner_unpool", "max_unpool_switches", "tile_unpool", "unpool_mask"),
}


def __getattr__(name: str) -> object:
    # Not imported here: they bring torch and the extension, and whoever only asks for `pool_output_size` needs neither.
    for file, names in _FILES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(f"repro.ops.{file}"), name)
            return value
    raise AttributeError(f"module 'repro.ops' has no attribute '{name}'")
