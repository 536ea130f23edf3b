"""torch, and the rooms that need it, imported when a layer first runs.

Shapes, parameter counts and errors of a net need no torch, and importing it takes longer than everything else that
`repro summary` does. So the layer files take ``torch``, ``F``, ``exact`` and ``ops`` from here. To a type checker these
are the modules themselves; at run time they are stand-ins, which `settle` replaces by the modules in every file that
holds one as soon as a net is to run.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any


class Later:
    """Stands for a module that is imported at the first use of one of its names."""

    def __init__(self, module: str) -> None:
        self.name = module

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.name), name)


if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F

    from repro import exact, ops
    from repro.layers import conv_inference as inference
    from repro.layers import cross_entropy
else:
    torch, F, exact, ops = Later("torch"), Later("torch.nn.functional"), Later("repro.exact"), Later("repro.ops")
    inference = Later("repro.layers.conv_inference")
    cross_entropy = Later("repro.layers.cross_entropy")

__all__ = ["F", "cross_entropy", "exact", "inference", "ops", "settle", "torch"]


def settle() -> None:
    """Put the modules in the place of the stand-ins, here and in every layer file that took one from here."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("repro.layers."):
            for name, value in list(vars(module).items()):
                if isinstance(value, Later):
                    setattr(module, name, importlib.import_module(value.name))
