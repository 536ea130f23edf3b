"""Networks for other runtimes: ONNX (standard operators only) and torch.export."""

from __future__ import annotations

from repro.export.onnx_file import export_onnx
from repro.export.report import ExportReport
from repro.export.torch_program import export_torch

__all__ = ["ExportReport", "export_onnx", "export_torch"]
