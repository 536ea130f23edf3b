"""What an export made, and whether the batch may vary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from repro.errors import InputError, NetError, UnsupportedError
from repro.graph import Graph, infer_shapes
from repro.layers import Layer, Shape
from repro.layers.scale import Bias, Scale
from repro.net import Net


@dataclass(frozen=True)
class ExportReport:
    """Shapes are those the net was built with; in `batch_axes` blobs the first axis follows the batch."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    batch_axes: frozenset[str]
    fixed_because: str  # why the batch is fixed; empty where it may vary
    operators: Mapping[str, int]  # how often each operator of the target occurs

    def __str__(self) -> str:
        def shape(name: str, sizes: Shape) -> str:
            free = name in self.batch_axes
            return f"{name} {'x'.join(['N' if free and k == 0 else str(d) for k, d in enumerate(sizes)]) or 'scalar'}"

        inputs, outputs = (", ".join(shape(*item) for item in blobs.items()) for blobs in (self.inputs, self.outputs))
        fixed = f"\nthe batch is fixed: {self.fixed_because}" if self.fixed_because else ""
        operators = ", ".join(f"{name} {count}" for name, count in sorted(self.operators.items()))
        return f"inputs: {inputs}\noutputs: {outputs}{fixed}\noperators: {operators}"


def batched_blobs(graph: Graph) -> tuple[frozenset[str], str]:
    """Blobs whose first axis, and nothing else, follows the batch; or none of them and why the batch must stay."""
    for step in graph.steps:
        layer = step.layer
        # a parameter that spans the first axis holds one value per item
        if isinstance(layer, Scale | Bias) and layer.axis == 0 and any(blob.dim() for blob in layer.blobs):
            return frozenset(), f"{layer.describe()} has parameters for each item of the batch"
    built = dict(graph.shapes)
    wider = {name: (shape[0] + 1, *shape[1:]) for name, shape in graph.inputs.items() if shape}
    try:
        grown = infer_shapes(graph, wider)
    except NetError as error:
        return frozenset(), str(error)
    finally:
        # layers keep what they worked out of the shapes they saw last
        infer_shapes(graph, {})
    follows = set()
    for name, shape in grown.items():
        if shape == built[name]:
            continue
        if shape[1:] != built[name][1:]:
            return frozenset(), f"blob '{name}' is {built[name]}, with one item more {shape}"
        follows.add(name)
    return frozenset(follows), ""


def needed_inputs(net: Net) -> list[str]:
    """Inputs that a layer reads, or that leave the net as they are; in order."""
    return [name for name in net.graph.inputs if name in net.graph.needed_inputs or name in net.graph.outputs]


def wanted_outputs(net: Net, blobs: Iterable[str]) -> list[str]:
    """The net's outputs and these blobs besides; InputError for a blob there is not."""
    known = net.graph.shapes
    wanted = list(net.graph.outputs)
    for name in blobs:
        if name not in known:
            raise InputError(f"{net.spec.source}: no blob '{name}'; there are: {', '.join(known)}")
        if name not in wanted:
            wanted.append(name)
    if not wanted:
        raise InputError(f"{net.spec.source}: the net has no output blob; name the blobs that should be")
    return wanted


def refuse(net: Net, target: str, reasons: list[tuple[Layer, str]]) -> None:
    """UnsupportedError that names all of these layers at once, each with its reason; nothing where there are none."""
    if reasons:
        listed = "; ".join(f"'{y.spec.name}' ({y.spec.type}) at {y.spec.where}: {why}" for y, why in reasons)
        raise UnsupportedError(
            f"{net.spec.source}: {len(reasons)} layer(s) cannot be exported to {target}: {listed}; export a prototxt "
            "that ends before them"
        )
