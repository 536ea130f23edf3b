"""Old net and solver messages rewritten to today's, step by step as ``upgrade_proto.cpp`` does on load.

The steps, each a function that changes the message in place and does nothing where it does not apply:
V0 layers to V1, data layers' transformation fields to ``transform_param``, V1 ``layers`` to V2 ``layer``,
``input`` fields to an Input layer, BatchNorm's three frozen parameters.
"""

from __future__ import annotations

from repro.caffe.message import Message
from repro.caffe.upgrade_v0 import upgrade_v0_layers
from repro.errors import FormatError, InputError, SchemaError

_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")
_DATA_PARAMS = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}
_V1_ONLY = frozenset(("type", "param", "blob_share_mode", "blobs_lr", "weight_decay", "layer"))
_SOLVER_TYPES = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}


def upgrade_net(net: Message) -> None:
    """Brings a NetParameter of any age to V2 in place.

    FormatError where V1 and V2 layers are mixed or input dimensions do not fit; SchemaError for a V1 type without a V2
    name and for options that a V0 layer's type does not have.
    """
    upgrade_v0_layers(net)
    upgrade_data_transformation(net)
    upgrade_v1_layers(net)
    upgrade_input(net)
    upgrade_batch_norm(net)
    upgrade_fork_options(net)


def upgrade_data_transformation(net: Message) -> None:
    """Moves scale, mean_file, crop_size and mirror of V1 data layers into ``transform_param``."""
    for layer in net.layers:
        name = _DATA_PARAMS.get(layer.type)
        if name is None or not layer.has(name):
            continue
        options = getattr(layer, name)
        moved = [f for f in _TRANSFORM_FIELDS if options.has(f)]
        if not moved:
            continue
        transform = layer.transform_param
        for field in moved:
            transform.set(field, getattr(options, field))
            options.clear(field)
        layer.set("transform_param", transform)


def upgrade_v1_layers(net: Message) -> None:
    """Rewrites every V1 layer as a V2 layer."""
    if not net.has("layers"):
        return
    if net.has("layer"):
        raise FormatError(
            f"{net.layer[0].where}: the net has both 'layers' (V1) and 'layer' (V2) entries, first V1 at "
            f"{net.layers[0].where}; Caffe would drop one kind; write them all in one"
        )
    net.set("layer", [upgrade_v1_layer(layer) for layer in net.layers])
    net.clear("layers")


def upgrade_v1_layer(old: Message) -> Message:
    """The V2 LayerParameter of a V1LayerParameter; shares the sub-messages with it."""
    new = old.like("LayerParameter")
    known = old.schema.enums["V1LayerParameter.LayerType"].values
    if old.type not in old.schema.v1_types and (not old.has("type") or old.type in known):
        found = f"the type {old.type!r}" if old.has("type") else "no type"
        raise SchemaError(
            f"{old.where}: layer {old.name!r} has {found}; expected a V1 type of the dialect {old.schema.dialect!r}"
        )
    for name, values in old.fields.items():
        if name in _V1_ONLY:
            continue
        if name not in new.message_type.fields:
            raise SchemaError(f"{old.where}: layer {old.name!r}: {name} has no place in a V2 layer")
        new.fields[name] = values
    # a type that no dialect names keeps its V1 spelling, under which the layers' registry refuses it
    new.set("type", old.schema.v1_types.get(old.type, str(old.type)))
    new.unknown = old.unknown
    for at in range(max(len(old.param), len(old.blob_share_mode), len(old.blobs_lr), len(old.weight_decay))):
        param = new.new("param")
        if at < len(old.param):
            param.set("name", old.param[at])
        if at < len(old.blob_share_mode):
            param.set("share_mode", old.blob_share_mode[at])
        if at < len(old.blobs_lr):
            param.set("lr_mult", old.blobs_lr[at])
        if at < len(old.weight_decay):
            param.set("decay_mult", old.weight_decay[at])
        new.append("param", param)
    return new


def downgrade_layer(new: Message) -> Message:
    """The V1LayerParameter of a V2 one, for files that an old Caffe is to read; the inverse of ``upgrade_v1_layer``.

    Fields that V2 has and V1 lacks (``phase``, ``propagate_down``) are dropped; InputError for a type without V1 name.
    """
    old = new.like("V1LayerParameter")
    names = {v2: v1 for v1, v2 in reversed(new.schema.v1_types.items())}
    if new.type not in names:
        raise InputError(f"layer {new.name!r}: the type {new.type!r} has no V1 form; write version='V2'")
    for name, values in new.fields.items():
        if name in old.message_type.fields and name not in _V1_ONLY:
            old.fields[name] = values
    old.set("type", names[new.type])
    if new.has("param"):
        params = new.param
        old.set("blobs_lr", [p.lr_mult for p in params])
        old.set("weight_decay", [p.decay_mult for p in params])
        if any(p.name for p in params):
            old.set("param", [p.name for p in params])
            old.set("blob_share_mode", [p.share_mode for p in params])
    return old


def upgrade_input(net: Message) -> None:
    """``input`` with ``input_shape`` or ``input_dim`` becomes one Input layer called "input" in front of the others.

    Where no dimensions are given at all, the Input layer has no shapes: they come from what is fed.
    """
    if not net.has("input"):
        for name in ("input_dim", "input_shape"):
            if net.has(name):
                raise FormatError(f"{net.where}: the net has {name} but no input")
        return
    names, shapes, dims = list(net.input), list(net.input_shape), list(net.input_dim)
    if shapes and dims:
        raise FormatError(f"{net.where}: the net has both input_shape and input_dim; give one of them")
    if dims:
        if len(dims) != 4 * len(names):
            raise FormatError(
                f"{net.where}: found {len(dims)} input_dim for {len(names)} input(s); expected 4 for each"
            )
        for at in range(len(names)):
            shape = net.like("BlobShape")
            shape.set("dim", dims[4 * at : 4 * at + 4])
            shapes.append(shape)
    elif shapes and len(shapes) != len(names):
        raise FormatError(f"{net.where}: found {len(shapes)} input_shape for {len(names)} input(s); expected one each")
    for name, shape in zip(names, shapes, strict=False):
        if any(dim < 0 for dim in shape.dim):
            raise FormatError(f"{net.where}: input {name!r} has the shape {list(shape.dim)}; no dimension is negative")
    layer = net.like("LayerParameter")
    layer.set("name", "input")
    layer.set("type", "Input")
    layer.set("top", names)
    options = layer.new("input_param")
    if shapes:
        options.set("shape", shapes)
    layer.set("input_param", options)
    net.set("layer", [layer, *net.layer])
    for name in ("input", "input_shape", "input_dim"):
        net.clear(name)


def upgrade_batch_norm(net: Message) -> None:
    """BatchNorm layers with three ``param`` entries: the statistics are no parameters to be learnt."""
    for layer in net.layer:
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            for param in layer.param:
                param.set("lr_mult", 0.0)
                param.set("decay_mult", 0.0)


def upgrade_fork_options(net: Message) -> None:
    """Options of forks that BVLC's Caffe came to spell otherwise, in BVLC's spelling.

    ``kstride`` becomes ``dilation``, and ConvolutionSK with it Convolution; a pooling layer with a dilation other than
    1 becomes a PoolingSK, one without a Pooling. ``ceil_mode: false`` becomes ``round_mode: FLOOR``. FormatError where
    both spellings are given.
    """
    for layer in net.layer:
        for name in ("convolution_param", "pooling_param"):
            if not layer.has(name):
                continue
            options = getattr(layer, name)
            if options.has("kstride"):
                if options.has("dilation"):
                    raise FormatError(f"{options.where}: layer {layer.name!r} has both kstride and dilation")
                options.set("dilation", options.kstride)
                options.clear("kstride")
            if options.has("ceil_mode"):
                if options.has("round_mode"):
                    raise FormatError(f"{options.where}: layer {layer.name!r} has both ceil_mode and round_mode")
                options.set("round_mode", "CEIL" if options.ceil_mode else "FLOOR")
                options.clear("ceil_mode")
        if layer.type == "ConvolutionSK":
            layer.set("type", "Convolution")
        elif layer.type in ("Pooling", "PoolingSK") and "dilation" in layer.pooling_param.message_type.fields:
            dilated = layer.pooling_param.has("dilation") and any(d != 1 for d in layer.pooling_param.dilation)
            layer.set("type", "PoolingSK" if dilated else "Pooling")
            if not dilated:
                layer.pooling_param.clear("dilation")


def upgrade_solver(solver: Message) -> None:
    """``solver_type: NESTEROV`` becomes ``type: "Nesterov"``; FormatError where both are given."""
    if not solver.has("solver_type"):
        return
    if solver.has("type"):
        raise FormatError(f"{solver.where}: the solver has both solver_type (old) and type; give one of them")
    solver.set("type", _SOLVER_TYPES[solver.solver_type])
    solver.clear("solver_type")
