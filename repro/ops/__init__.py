"""The torch face of ``csrc/``: one file per op; ``reference`` holds the slow, loop-written truth of each.

Importing this opens the compiled extension; ``DeviceError`` names the command that builds it.
"""

from repro.ops.lattice import PermutohedralLattice
from repro.ops.pool import mask_to_switches, max_pool_switches, pool_output_size, switches_to_mask
from repro.ops.unpool import avg_unpool, corner_unpool, max_unpool_switches, tile_unpool, unpool_mask

__all__ = [
    "PermutohedralLattice",
    "avg_unpool",
    "corner_unpool",
    "mask_to_switches",
    "max_pool_switches",
    "max_unpool_switches",
    "pool_output_size",
    "switches_to_mask",
    "tile_unpool",
    "unpool_mask",
]
