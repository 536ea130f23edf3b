"""A Net as an ONNX model of standard operators, written from the Caffe graph itself."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from repro.errors import UnsupportedError

# importing the files registers what they write
from repro.export import onnx_elementwise, onnx_geometry, onnx_norm, onnx_windows  # noqa: F401
from repro.export.builder import Builder, CannotExport, Mask, Place, Value
from repro.export.report import ExportReport, batched_blobs, needed_inputs, refuse, wanted_outputs
from repro.export.rules import rule_for
from repro.layers import Layer
from repro.net import Net

OPSET = 18
# the format version that goes with it: older runtimes can read the file
IR_VERSION = 8
# stands for a blob without a name, which in ONNX would mean "no blob"
UNNAMED = "unnamed"
# what one protobuf message may hold, less room for the graph; more goes into a second file
LARGEST = 2**31 - 2**24


def export_onnx(
    net: Net, path: str | os.PathLike[str], *, blobs: Iterable[str] = (), largest: int = LARGEST
) -> ExportReport:
    """Write the net to `path` as an ONNX model (opset 18, float32, standard operators, checked by `onnx.checker`).

    Inputs and outputs have Caffe's names and shapes; `blobs` become outputs besides the net's own. The batch may vary
    where no layer mixes items (the report says so); other sizes are those the net was built with. Pooling masks are
    plane indices, as float where they leave the graph. Parameters of more than `largest` bytes go to `path` + ".data".

    UnsupportedError names every layer without a form in standard operators at once; nothing is written then.
    """
    if net.spec.phase != "TEST":
        raise UnsupportedError(f"{net.spec.source}: the net is in phase {net.spec.phase}; build it with phase='TEST'")
    batched, fixed_because = batched_blobs(net.graph)
    names = wanted_outputs(net, blobs)
    build = Builder()
    inputs = {name: build.unique(name or UNNAMED) for name in needed_inputs(net)}
    values: dict[str, Value] = dict(inputs)
    for name in names:
        # the names outputs shall have, kept free; an input that is overwritten in place keeps its own
        build.unique(name)
    refused: list[tuple[Layer, str]] = []
    for step in net.graph.steps:
        layer = step.layer
        if step.is_source:
            continue
        bottoms = [_for_layer(build, layer, values[b]) for b in layer.spec.bottoms]
        place = Place(layer, bottoms, step.bottom_shapes, bool(layer.spec.tops) and layer.spec.tops[0] in batched)
        try:
            tops = rule_for(layer)(build, place)
        except CannotExport as error:
            refused.append((layer, str(error)))
            # names of nothing, so that the layers after it can be looked at as well
            tops = layer.spec.tops
        values.update(zip(layer.spec.tops, tops, strict=True))
    refuse(net, "ONNX", refused)
    model, outputs = _model(build, net, inputs, names, values, batched)
    _write(build, model, Path(path), largest)
    shapes = net.graph.shapes
    return ExportReport(
        {name: net.graph.inputs[name] for name in inputs},
        {outputs[name]: shapes[name] for name in names},
        frozenset(outputs.get(name, name) for name in batched) | batched,
        fixed_because,
        Counter(node.op_type for node in build.nodes),
    )


def _for_layer(build: Builder, layer: Layer, value: Value) -> Value:
    """The value as the layer can use it: a mask as Caffe's float blob where it is not used as an index."""
    return value if layer.accepts_switches else _tensor(build, value)


def _tensor(build: Builder, value: Value) -> str:
    return build.cast(value.index) if isinstance(value, Mask) else value


def _model(
    build: Builder,
    net: Net,
    inputs: dict[str, str],
    names: list[str],
    values: dict[str, Value],
    batched: frozenset[str],
) -> tuple[Any, dict[str, str]]:
    """The ModelProto, and the name each output has: its blob's, or another where an input has that."""
    helper, floats = build.onnx.helper, build.onnx.TensorProto.FLOAT

    def described(name: str, blob: str) -> Any:
        shape: list[int | str] = list(net.graph.shapes[blob])
        batch = net.graph.shapes[next(iter(inputs))][:1] if inputs else ()
        if blob in batched:
            shape[0] = "N" if tuple(shape[:1]) == batch else f"{blob}_0"
        return helper.make_tensor_value_info(name, floats, shape)

    outputs = {name: build.unique(f"{name or UNNAMED}_out") if name in inputs or not name else name for name in names}
    for blob, name in outputs.items():
        build.nodes.append(helper.make_node("Identity", [_tensor(build, values[blob])], [name]))
    _without_copies(build.nodes, set(inputs.values()) | {tensor.name for tensor in build.initializers})
    graph = helper.make_graph(
        build.nodes,
        net.spec.name or "net",
        [described(name, blob) for blob, name in inputs.items()],
        [described(name, blob) for blob, name in outputs.items()],
        build.initializers,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="repro", opset_imports=[opset], ir_version=IR_VERSION)
    return model, outputs


def _without_copies(nodes: list[Any], fixed: set[str]) -> None:
    """Let the node that makes an output write it under the output's name, where nothing else claims that value."""
    made = {name: node for node in nodes for name in node.output}
    renamed: dict[str, str] = {}
    for node in [n for n in nodes if n.op_type == "Identity"]:
        source, target = node.input[0], node.output[0]
        if source in fixed or source in renamed:
            continue
        maker = made[source]
        maker.output[list(maker.output).index(source)] = target
        renamed[source] = target
        nodes.remove(node)
    for node in nodes:
        for k, name in enumerate(node.input):
            node.input[k] = renamed.get(name, name)


def _write(build: Builder, model: Any, path: Path, largest: int) -> None:
    """The model under another name first; large parameters beside it, the model file last."""
    onnx = build.onnx
    size = sum(len(tensor.raw_data) for tensor in build.initializers)
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    data = path.with_name(f"{path.name}.data")
    data_part = part.with_name(f"{part.name}.data")
    try:
        if size <= largest:
            onnx.checker.check_model(model, full_check=size < 2**28)
            onnx.save_model(model, str(part))
        else:
            onnx.save_model(model, str(part), save_as_external_data=True, location=data_part.name, size_threshold=1024)
            onnx.checker.check_model(str(part))
            for tensor in model.graph.initializer:
                for entry in tensor.external_data:
                    if entry.key == "location":
                        entry.value = data.name
            part.write_bytes(model.SerializeToString())
            data_part.replace(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        data_part.unlink(missing_ok=True)
