"""A prototxt as a Net and through ONNX Runtime, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro import Net
from repro.export import ExportReport, export_onnx

HEAD = 'name: "n" input: "x" input_shape {{ dim: {0} dim: {1} dim: {2} dim: {3} }}\n'


def runtime() -> Any:
    pytest.importorskip("onnx", reason="writing ONNX needs the package onnx (pip install 'repro[onnx]')")
    return pytest.importorskip("onnxruntime", reason="checking ONNX files needs the package onnxruntime")


def run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = runtime().SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = runtime().InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()}), strict=True))


def filled(net: Net, seed: int = 1) -> Net:
    """Every parameter drawn anew; positive, so that it may be a variance."""
    draw = np.random.Generator(np.random.PCG64(seed))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.from_numpy(draw.uniform(0.1, 1.0, tuple(parameter.shape)).astype(np.float32)))
    return net


def draw(shape: tuple[int, ...], seed: int = 2) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


def agree(net: Net, path: Path, inputs: Mapping[str, np.ndarray], bound: float, **options: Any) -> ExportReport:
    """Export; run both on the inputs and, where the batch may vary, on three times as many; hold them together."""
    runtime()
    report = export_onnx(net, path, **options)
    given = [dict(inputs)]
    if not report.fixed_because:
        given.append({name: np.concatenate([x, -x, x * 0.5]) for name, x in inputs.items()})
    for each in given:
        found = run_onnx(path, each)
        with torch.inference_mode():
            expected = net(capture=True, **each)
        assert set(found) == set(report.outputs)
        for name, values in found.items():
            right = expected[name].numpy()
            assert values.shape == right.shape, name
            scale = max(float(np.abs(right).max()), 1e-6)
            difference = float(np.abs(values - right).max())
            assert difference <= bound * scale, f"{name}: {difference} of {scale}"
    return report
