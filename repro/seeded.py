"""Stand-in weights drawn from a seed, for networks whose trained weights are not at hand.

``python -m repro.seeded PROTOTXT OUT.caffemodel [--base 6000]`` writes them. Activations keep their spread from layer
to layer (He scaling with a gain for what pooling and unpooling change), so that a full forward pass is a fair test of
arithmetic and speed; what comes out means nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from repro.caffe import NetSpec, load_net, write_caffemodel
from repro.errors import UnsupportedError
from repro.graph import build_graph

Weights = list[NDArray[np.float32]]

# what follows a max pooling sees larger values, what follows an unpooling three zeros in four
_GAIN = {"Pooling": 0.5, "Unpooling": 4.0}


def layer_weights(kind: str, shapes: Sequence[tuple[int, ...]], made_by: str, seed: int) -> Weights:
    """Blobs of one layer (Convolution, Deconvolution or BN) from one generator.

    shapes: those of its blobs. made_by: type of the layer that makes its first bottom. float32, drawn in float64.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    if kind == "BN":
        scale = 1.0 + 0.1 * generator.standard_normal(shapes[0])
        return [scale.astype(np.float32), (0.1 * generator.standard_normal(shapes[1])).astype(np.float32)]
    if kind not in ("Convolution", "Deconvolution"):
        raise UnsupportedError(f"seeded weights exist for Convolution, Deconvolution and BN, not for {kind}")
    weight = shapes[0]
    taps = weight[2] * weight[3]
    # a 7x7 deconvolution of a single pixel has one tap per output
    fan = weight[1] * taps if kind == "Convolution" else weight[0] * (1 if weight[2] == 7 else taps)
    std = np.sqrt(2.0 * _GAIN.get(made_by, 1.0) / fan)
    arrays = [(generator.standard_normal(weight) * std).astype(np.float32)]
    if len(shapes) > 1:
        arrays.append((0.1 * generator.standard_normal(shapes[1])).astype(np.float32))
    return arrays


def seeded_layers(spec: NetSpec, base: int) -> Iterator[tuple[str, str, Weights]]:
    """(name, type, blobs) of every layer with parameters, one at a time; seed = base + its ordinal among them."""
    maker: dict[str, str] = {}
    ordinal = 0
    for step in build_graph(spec).steps:
        layer = step.layer
        if layer.declared:
            shapes = [blob.shape for blob in layer.declared.values()]
            made_by = maker.get(layer.spec.bottoms[0], "")
            yield layer.spec.name, layer.spec.type, layer_weights(layer.spec.type, shapes, made_by, base + ordinal)
            ordinal += 1
        maker.update(dict.fromkeys(layer.spec.tops, layer.spec.type))


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
