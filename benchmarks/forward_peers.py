"""The peers of forward.py: a net's layers in plain torch calls, as a PyTorch user writes them, and real BVLC Caffe."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from repro import Net

Value = torch.Tensor
Step = Callable[[dict[str, Any]], None]


class TorchPeer:
    """A Net's layers by `torch.nn.functional` alone, on the net's own parameters or channels_last copies of them.

    BN of mode INFERENCE is `F.batch_norm` in evaluation; in-place layers work in place; values are dropped after
    their last use. SystemExit for a layer type that is not written down here.
    """

    def __init__(self, net: Net, layout: torch.memory_format) -> None:
        self.layout = layout
        self.steps: list[tuple[str, Step, list[str]]] = []
        for step in net.graph.steps:
            if step.is_source:
                continue
            make = getattr(self, f"_{step.layer.spec.type.lower()}", None)
            if make is None:
                raise SystemExit(f"no plain torch form of layer type {step.layer.spec.type} in {__file__}")
            self.steps.append((step.layer.spec.name, make(step.layer), step.last_use))
        self.outputs = net.graph.outputs

    def __call__(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        values: dict[str, Any] = {k: v.contiguous(memory_format=self.layout) for k, v in inputs.items()}
        for _, run, drop in self.steps:
            run(values)
            for name in drop:
                values.pop(name, None)
        return {name: values[name] for name in self.outputs}

    def _weight(self, layer: Any) -> torch.Tensor:
        return layer.weight.detach().contiguous(memory_format=self.layout)

    def _convolution(self, layer: Any) -> Step:
        weight, bias, (bottom,), (top,) = self._weight(layer), layer.bias, layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = F.conv2d(v[bottom], weight, bias, layer.stride, layer.pad, layer.dilation, layer.group)

        return run

    def _deconvolution(self, layer: Any) -> Step:
        weight, bias, (bottom,), (top,) = self._weight(layer), layer.bias, layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = F.conv_transpose2d(v[bottom], weight, bias, layer.stride, layer.pad, 0, layer.group)

        return run

    def _bn(self, layer: Any) -> Step:
        scale, shift = layer.scale.detach().flatten(), layer.shift.detach().flatten()
        mean, variance = torch.zeros_like(scale), torch.ones_like(scale)
        (bottom,), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = F.batch_norm(v[bottom], mean, variance, scale, shift, False, 0.0, 0.0)

        return run

    def _relu(self, layer: Any) -> Step:
        (bottom,), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = F.relu(v[bottom], inplace=bottom == top)

        return run

    def _pooling(self, layer: Any) -> Step:
        bottom, top = layer.spec.bottoms[0], layer.spec.tops[0]
        masks = layer.spec.tops[1:]

        def run(v: dict[str, Any]) -> None:
            found = F.max_pool2d(v[bottom], layer.kernel, layer.stride, layer.pad, 1, True, bool(masks))
            v.update(zip((top, *masks), found if masks else (found,), strict=True))

        return run

    def _unpooling(self, layer: Any) -> Step:
        (bottom, mask), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = F.max_unpool2d(v[bottom], v[mask], layer.kernel, layer.stride, 0, layer.output)

        return run

    def _dropout(self, layer: Any) -> Step:
        (bottom,), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = v[bottom]

        return run

    def _eltwise(self, layer: Any) -> Step:
        (a, b), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            v[top] = v[a] + v[b]

        return run

    def _crop(self, layer: Any) -> Step:
        (bottom, like), (top,) = layer.spec.bottoms, layer.spec.tops

        def run(v: dict[str, Any]) -> None:
            y, x = layer.offsets[-2:]
            height, width = v[like].shape[2:]
            v[top] = v[bottom][:, :, y : y + height, x : x + width]

        return run


_CAFFE = """
import sys, time
import numpy as np
import caffe
caffe.set_mode_cpu()
net = caffe.Net(sys.argv[1], caffe.TEST)
name = net.inputs[0]
rng = np.random.RandomState(0)
for blobs in net.params.values():
    for blob in blobs:
        blob.data[...] = 0.01 * rng.standard_normal(blob.data.shape)
print('ready', flush=True)
for line in sys.stdin:
    shape = tuple(map(int, line.split()))
    if net.blobs[name].data.shape != shape:
        net.blobs[name].reshape(*shape)
        net.reshape()
    net.blobs[name].data[...] = 1
    net.forward()
    print('done', flush=True)
"""


class CaffePeer:
    """BVLC Caffe in a Python of its own, which runs one forward pass each time it is asked to."""

    def __init__(self, python: str, prototxt: Path, threads: int) -> None:
        self.process = subprocess.Popen(
            [python, "-c", _CAFFE, str(prototxt)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads), "GLOG_minloglevel": "2"},
        )
        self._wait("ready")

    def __call__(self, shape: tuple[int, ...]) -> None:
        assert self.process.stdin is not None
        print(*shape, file=self.process.stdin, flush=True)
        self._wait("done")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _wait(self, word: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == word:
                return
        raise SystemExit("Caffe's process ended; does its Python import caffe and does that Caffe have all layers?")
