"""Stand-in weights drawn from a seed, for networks whose trained weights are not at hand.

``python -m repro.seeded PROTOTXT OUT.caffemodel [--base 6000]`` writes them. Activations keep their spread from layer
to layer (He scaling with a gain for what pooling and unpooling change), so that a full forward pass is a fair test of
arithmetic and speed; what comes out means nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from repro.caffe import NetSpec, load_net, write_caffemodel
from repro.errors import UnsupportedError
from repro.graph import build_graph
from repro.layers import Layer
from repro.layers.fillers import Diagonal, fill

Weights = list[NDArray[np.float32]]

# what follows a max pooling sees larger values, what follows an unpooling three zeros in four
_GAIN = {"Pooling": 0.5, "Unpooling": 4.0}
_PER_CHANNEL = {
    "BN": ("scale", "shift", "shift", "variance"),
    "Scale": ("scale", "shift"),
    "Bias": ("shift",),
    "BatchNorm": ("shift", "variance", "one"),
    "PReLU": ("slope",),
}
_AS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float32]]] = {
    "scale": lambda drawn: (1.0 + 0.1 * drawn).astype(np.float32),
    "shift": lambda drawn: (0.1 * drawn).astype(np.float32),
    "variance": lambda drawn: (1.0 + 0.1 * np.abs(drawn)).astype(np.float32),
    "slope": lambda drawn: (0.25 + 0.01 * drawn).astype(np.float32),
    "one": lambda drawn: np.ones(drawn.shape, np.float32),
}
KINDS = ("Convolution", "Deconvolution", "InnerProduct", *_PER_CHANNEL)
# fillers that make what a layer is for, so that the layer would be another one with drawn values
_KEPT = ("bilinear",)


def layer_weights(kind: str, shapes: Sequence[tuple[int, ...]], made_by: str, seed: int) -> Weights:
    """Blobs of one layer (a kind of `KINDS`) from one generator.

    shapes: those of its blobs. made_by: type of the layer that makes its first bottom. float32, drawn in float64.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    if kind in _PER_CHANNEL:
        drawn = [generator.standard_normal(shape) for shape in shapes]
        return [_AS[meaning](values) for meaning, values in zip(_PER_CHANNEL[kind], drawn, strict=False)]
    if kind not in KINDS:
        raise UnsupportedError(f"seeded weights exist for {', '.join(KINDS)}, not for {kind}")
    weight = shapes[0]
    if kind == "InnerProduct":
        std = np.sqrt(2.0 / weight[-1])
        return [
            (generator.standard_normal(weight) * std).astype(np.float32),
            *(np.zeros(shape, np.float32) for shape in shapes[1:]),
        ]
    taps = weight[2] * weight[3]
    # a 7x7 deconvolution of a single pixel has one tap per output
    fan = weight[1] * taps if kind == "Convolution" else weight[0] * (1 if weight[2] == 7 else taps)
    std = np.sqrt(2.0 * _GAIN.get(made_by, 1.0) / fan)
    arrays = [(generator.standard_normal(weight) * std).astype(np.float32)]
    if len(shapes) > 1:
        arrays.append((0.1 * generator.standard_normal(shapes[1])).astype(np.float32))
    return arrays


def seeded_layers(
    spec: NetSpec, base: int, shapes: Mapping[str, Sequence[int]] | None = None
) -> Iterator[tuple[str, str, Weights]]:
    """(name, type, blobs) of every layer with parameters, one at a time; seed = base + its ordinal among them.

    shapes: of data blobs whose size the prototxt does not say.
    """
    maker: dict[str, str] = {}
    ordinal = 0
    for step in build_graph(spec, shapes).steps:
        layer = step.layer
        if layer.declared:
            wanted = [blob.shape for blob in layer.declared.values()]
            made_by = maker.get(layer.spec.bottoms[0], "") if layer.spec.bottoms else ""
            kept = _kept(layer)
            drawn = kept if kept else layer_weights(layer.spec.type, wanted, made_by, base + ordinal)
            yield layer.spec.name, layer.spec.type, drawn
            ordinal += 1
        maker.update(dict.fromkeys(layer.spec.tops, layer.spec.type))


def fixed_by_its_filler(layer: Layer) -> bool:
    """Whether the layer's first filler is a bilinear kernel or a diagonal, without which it would be another layer."""
    filler = next(iter(layer.declared.values())).filler
    return isinstance(filler, Diagonal) or getattr(filler, "type", None) in _KEPT


def _kept(layer: Layer) -> Weights:
    """The fillers' values where they say what the layer is; else nothing."""
    if not fixed_by_its_filler(layer):
        return []
    import torch

    arrays = []
    for blob in layer.declared.values():
        values = torch.empty(blob.shape)
        fill(values, blob.filler)
        arrays.append(values.numpy())
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m repro.seeded", description=__doc__)
    parser.add_argument("prototxt")
    parser.add_argument("output", help="the .caffemodel to write")
    parser.add_argument("--base", type=int, default=6000, help="seed of the first layer (default: 6000)")
    args = parser.parse_args()
    spec = load_net(args.prototxt)
    version = "V1" if spec.dialect == "deconvnet" else "V2"
    write_caffemodel(args.output, seeded_layers(spec, args.base), name=spec.name, version=version)


if __name__ == "__main__":
    main()
