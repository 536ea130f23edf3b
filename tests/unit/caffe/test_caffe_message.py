"""Message: protobuf 2's defaults, and schema tables that fit together in every dialect."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

from repro.caffe.message import Message, Where
from repro.caffe.schema import DIALECT_NAMES, schema
from repro.errors import SchemaError


def message(name: str, dialect: str = "bvlc") -> Message:
    known = schema(dialect)
    return Message(known, known.message(name))


def test_defaults() -> None:
    layer = message("LayerParameter")
    assert layer.name == ""
    assert layer.top == []
    assert not layer.has("pooling_param")
    pooling = layer.pooling_param
    assert (pooling.pool, pooling.stride, pooling.kernel_size, pooling.global_pooling) == ("MAX", 1, 0, False)
    assert layer.convolution_param.weight_filler.type == "constant"
    assert layer.batch_norm_param.eps == float(np.float32(1e-5))
    assert not layer.has("pooling_param")  # reading sets nothing
    assert message("HingeLossParameter").norm == "L1"
    assert message("ParamSpec").share_mode == "STRICT"  # no default stated: the enum's first value


def test_unknown_attributes() -> None:
    layer = message("LayerParameter")
    with pytest.raises(AttributeError, match="LayerParameter has no field 'bn_param' in the dialect 'bvlc'"):
        _ = layer.bn_param
    with pytest.raises(AttributeError):
        layer.set("bn_param", 1)
    with pytest.raises(AttributeError, match="not repeated"):
        layer.append("name", "x")
    assert not layer.has("bn_param")


def test_type_is_the_field_where_there_is_one() -> None:
    layer = message("LayerParameter")
    layer.set("type", "ReLU")
    assert (layer.type, layer.type_name) == ("ReLU", "LayerParameter")
    assert message("PoolingParameter").type == "PoolingParameter"


def test_equality_and_copies() -> None:
    a, b = message("BlobProto"), message("BlobProto")
    a.set("data", np.array([1.0, np.nan], np.float32))
    b.set("data", [1.0, float("nan")])
    assert a == b
    twin = copy(a)
    twin.set("num", 3)
    assert twin != a
    assert not a.has("num")
    empty = message("BlobProto")
    empty.set("num", 0)
    assert empty != message("BlobProto")  # set to the default is not unset
    assert message("BlobShape") != message("BlobProto")
    assert message("BlobShape") != 3


def test_where() -> None:
    assert str(Where("a.prototxt", 3, 4)) == "a.prototxt:3:4"
    assert str(Where("a.caffemodel", 0, 17)) == "a.caffemodel: byte 17"
    assert message("BlobShape").where.source == "<none>"


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
def test_tables_fit_together(dialect: str) -> None:
    known = schema(dialect)
    reserved = {name for name in dir(Message) if not name.startswith("__")} - {"type"}
    for kind in known.messages.values():
        assert not reserved & set(kind.fields), "a field no attribute could reach"
        numbers = [f.number for f in kind.fields.values() if f.number is not None]
        assert len(numbers) == len(set(numbers)) == len(kind.by_number)
        assert all(0 < n < 1 << 29 for n in numbers)
        for field in kind.fields.values():
            if field.enum is not None and not field.repeated:
                assert field.default in field.enum.values
    v1, v2 = known.messages["V1LayerParameter"].fields, known.messages["LayerParameter"].fields
    old = {"type", "param", "blob_share_mode", "blobs_lr", "weight_decay", "layer"}
    assert set(v1) - old <= set(v2), "a V1 field without a place in V2"
    assert all(v1[n].type_name == v2[n].type_name for n in set(v1) - old)
    types = set(known.enums["V1LayerParameter.LayerType"].values) - {"NONE"}
    assert types == set(known.v1_types)
    assert set(known.v1_types.values()) <= known.types


def test_numbers_that_binary_files_fix() -> None:
    v1 = schema("deconvnet").enums["V1LayerParameter.LayerType"].values
    assert (v1["CROP"], v1["UNPOOLING"], v1["BN"], v1["DECONVOLUTION"]) == (40, 42, 43, 39)
    fields = schema("deconvnet").messages["V1LayerParameter"].fields
    assert (fields["unpooling_param"].number, fields["bn_param"].number, fields["blobs"].number) == (44, 45, 6)
    assert schema().messages["LayerParameter"].fields["convolution_param"].number == 106


def test_unknown_dialect() -> None:
    with pytest.raises(SchemaError, match=r"unknown dialect 'cafe'; known: bvlc, .*deconvnet"):
        schema("cafe")
    with pytest.raises(SchemaError, match="no message 'Nothing'"):
        schema().message("Nothing")
