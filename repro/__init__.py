"""The Caffe segmentation years, alive in PyTorch."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Net", "__version__"]


def __getattr__(name: str) -> object:
    # Net is imported on first use: the verbs that only read files should not pay for importing torch
    if name == "Net":
        from repro.net import Net

        return Net
    raise AttributeError(f"module 'repro' has no attribute '{name}'")
