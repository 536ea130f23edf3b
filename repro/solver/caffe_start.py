"""The parameters a BVLC Caffe on the CPU starts from with a solver's random_seed, to the bit.

Data layers take numbers from the same stream before the first filler does; how many was found by asking BVLC Caffe 1.0
(`BaseDataLayer`, `BasePrefetchingDataLayer`, `DataTransformer::InitRand`, `InternalThread`).
"""

from __future__ import annotations

import torch

from repro.caffe import LayerSpec, NetSpec
from repro.errors import UnsupportedError
from repro.layers.caffe_random import CaffeRandom
from repro.layers.fillers import fill
from repro.net import Net

_PREFETCHED = {"Data": "data_param", "ImageData": "image_data_param"}
_SILENT = ("HDF5Data", "Input", "Python")
_SOURCES = (*_PREFETCHED, *_SILENT, "MemoryData", "DummyData")


@torch.no_grad()
def start_as_caffe(net: Net, seed: int) -> None:
    """Fill every parameter anew from Caffe's stream.

    UnsupportedError for data layers of which it is not known how many numbers they take.
    """
    random = CaffeRandom(seed)
    random.skip(sum(map(_taken, _sources(net.spec), [net.spec.phase] * len(net.spec.layers))))
    for layer in net.caffe_layers:
        for key, parameter in layer._parameters.items():
            if parameter is not None:
                values = torch.empty(parameter.shape)
                fill(values, layer.declared[key].filler, random)
                parameter.copy_(values)


def _sources(spec: NetSpec) -> list[LayerSpec]:
    sources = [layer for layer in spec.layers if not layer.bottoms]
    for layer in sources:
        random = layer.type == "DummyData" and any(
            filler.type != "constant" for filler in layer.options("dummy_data_param").data_filler
        )
        if layer.type not in _SOURCES or random:
            raise UnsupportedError(
                f"layer '{layer.name}' ({layer.where}): how many of Caffe's random numbers a {layer.type} layer "
                "takes is not known, so Caffe's start cannot be had; leave --caffe-random out"
            )
    return sources


def _taken(layer: LayerSpec, phase: str) -> int:
    if layer.type in _SILENT or layer.type == "DummyData":
        return 0
    transform = layer.options("transform_param")
    draws = bool(transform.mirror) or (phase == "TRAIN" and bool(transform.crop_size))
    if layer.type == "MemoryData":
        return int(draws)
    options = layer.options(_PREFETCHED[layer.type])
    listed = layer.type == "ImageData"
    # the transformer's seed twice, the thread's once, and those of the list's order and first line
    return 2 * draws + 1 + (bool(options.shuffle) + bool(options.rand_skip) if listed else 0)
