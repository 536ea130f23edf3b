"""V0 nets (2013: ``layers { layer { … } bottom: … }``) rewritten to V1, as ``UpgradeV0Net`` does.

Every option of a V0 layer was a field of one message; each type takes those that are its own, and a field that its
type has no use for is an error, as in Caffe. ``padding`` layers are folded into the convolution or pooling behind
them.
"""

from __future__ import annotations

from repro.caffe.message import Message
from repro.errors import FormatError, SchemaError

_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}
_OWN = frozenset(("name", "type", "blobs", "blobs_lr", "weight_decay", "hdf5_output_param"))
_CONV, _IP, _POOL = "convolution_param", "inner_product_param", "pooling_param"
_DATA, _IMAGES, _WINDOW = "data_param", "image_data_param", "window_data_param"
_READ = {"data": _DATA, "images": _IMAGES, "window_data": _WINDOW}
# V0 field -> {V0 type: (V1 sub-message, its field)}
_PLACES: dict[str, dict[str, tuple[str, str]]] = {
    "num_output": {"conv": (_CONV, "num_output"), "innerproduct": (_IP, "num_output")},
    "biasterm": {"conv": (_CONV, "bias_term"), "innerproduct": (_IP, "bias_term")},
    "weight_filler": {"conv": (_CONV, "weight_filler"), "innerproduct": (_IP, "weight_filler")},
    "bias_filler": {"conv": (_CONV, "bias_filler"), "innerproduct": (_IP, "bias_filler")},
    "pad": {"conv": (_CONV, "pad"), "pool": (_POOL, "pad")},
    "kernelsize": {"conv": (_CONV, "kernel_size"), "pool": (_POOL, "kernel_size")},
    "group": {"conv": (_CONV, "group")},
    "stride": {"conv": (_CONV, "stride"), "pool": (_POOL, "stride")},
    "pool": {"pool": (_POOL, "pool")},
    "dropout_ratio": {"dropout": ("dropout_param", "dropout_ratio")},
    "local_size": {"lrn": ("lrn_param", "local_size")},
    "alpha": {"lrn": ("lrn_param", "alpha")},
    "beta": {"lrn": ("lrn_param", "beta")},
    "k": {"lrn": ("lrn_param", "k")},
    "source": {
        **{type_: (param, "source") for type_, param in _READ.items()},
        "hdf5_data": ("hdf5_data_param", "source"),
        "infogain_loss": ("infogain_loss_param", "source"),
    },
    "scale": dict.fromkeys(_READ, ("transform_param", "scale")),
    "meanfile": dict.fromkeys(_READ, ("transform_param", "mean_file")),
    "batchsize": {
        **{type_: (param, "batch_size") for type_, param in _READ.items()},
        "hdf5_data": ("hdf5_data_param", "batch_size"),
    },
    "cropsize": dict.fromkeys(_READ, ("transform_param", "crop_size")),
    "mirror": dict.fromkeys(_READ, ("transform_param", "mirror")),
    "rand_skip": {"data": (_DATA, "rand_skip"), "images": (_IMAGES, "rand_skip")},
    "det_fg_threshold": {"window_data": (_WINDOW, "fg_threshold")},
    "det_bg_threshold": {"window_data": (_WINDOW, "bg_threshold")},
    "det_fg_fraction": {"window_data": (_WINDOW, "fg_fraction")},
    "det_context_pad": {"window_data": (_WINDOW, "context_pad")},
    "det_crop_mode": {"window_data": (_WINDOW, "crop_mode")},
    "new_height": {"images": (_IMAGES, "new_height")},
    "new_width": {"images": (_IMAGES, "new_width")},
    "shuffle_images": {"images": (_IMAGES, "shuffle")},
    "concat_dim": {"concat": ("concat_param", "concat_dim")},
}


def upgrade_v0_layers(net: Message) -> None:
    """Rewrites the V0 layers of a NetParameter as V1 layers, in place; nothing happens where there are none.

    SchemaError for an unknown V0 type or an option that its type does not have; FormatError for a padding layer that
    no convolution or pooling layer can take in.
    """
    if not any(layer.has("layer") for layer in net.layers):
        return
    folded = _fold_padding(list(net.layers))
    net.set("layers", [_upgrade(layer) if layer.has("layer") else layer for layer in folded])


def _fold_padding(layers: list[Message]) -> list[Message]:
    """Without the padding layers: their pad goes to the layer that reads their top, which then reads their bottom."""
    kept: list[Message] = []
    maker: dict[str, Message] = {}
    for layer in layers:
        inner = layer.layer if layer.has("layer") else layer
        if layer.has("layer") and inner.type == "padding":
            if len(layer.bottom) != 1 or len(layer.top) != 1:
                raise FormatError(f"{layer.where}: the padding layer {inner.name!r} needs one bottom and one top")
            maker[layer.top[0]] = layer
            continue
        for at, bottom in enumerate(layer.bottom):
            padding = maker.get(bottom)
            if padding is None:
                continue
            if not layer.has("layer") or inner.type not in ("conv", "pool"):
                raise FormatError(
                    f"{layer.where}: layer {inner.name!r} ({inner.type}) reads the padding layer "
                    f"{padding.layer.name!r}; only conv and pool layers take padding in"
                )
            if len(layer.bottom) != 1:
                raise FormatError(f"{layer.where}: layer {inner.name!r} has {len(layer.bottom)} bottoms, one padded")
            inner.set("pad", padding.layer.pad)
            layer.fields["bottom"][at] = padding.bottom[0]
        kept.append(layer)
        for top in layer.top:
            maker.pop(top, None)
    return kept


def _upgrade(old: Message) -> Message:
    inner = old.layer
    if inner.type not in _TYPES:
        found = f"the type {inner.type!r}" if inner.has("type") else "no type"
        raise SchemaError(f"{old.where}: layer {inner.name!r} has {found}; V0 types are: {', '.join(_TYPES)}")
    new = old.like("V1LayerParameter")
    for name in ("bottom", "top"):
        if old.has(name):
            new.set(name, getattr(old, name))
    new.set("type", _TYPES[inner.type])
    for name in ("name", "blobs", "blobs_lr", "weight_decay", "hdf5_output_param"):
        if inner.has(name):
            new.set(name, getattr(inner, name))
    new.unknown = [*old.unknown, *inner.unknown]
    for name, values in inner.fields.items():
        if name in _OWN or not len(values):
            continue
        place = _PLACES.get(name, {}).get(inner.type)
        if place is None:
            raise SchemaError(f"{inner.where}: layer {inner.name!r}: a V0 layer of type {inner.type!r} has no {name}")
        options = getattr(new, place[0])
        options.set(place[1], [values[-1]] if options.field(place[1]).repeated else values[-1])
        new.set(place[0], options)
    return new
