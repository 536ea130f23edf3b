"""Caffe's file formats, read and written without Caffe, protobuf or torch: nets, solvers, weights, solver states."""

from repro.caffe.blobs import SolverState, WeightBlob, WeightLayer
from repro.caffe.message import Message, Where
from repro.caffe.model import (
    Model,
    read_binaryproto,
    read_caffemodel,
    read_solverstate,
    write_binaryproto,
    write_caffemodel,
    write_solverstate,
)
from repro.caffe.netspec import LayerSpec, NetSpec, ParamSpec, SolverSpec, load_net, load_solver
from repro.caffe.printer import to_text

__all__ = [
    "LayerSpec",
    "Message",
    "Model",
    "NetSpec",
    "ParamSpec",
    "SolverSpec",
    "SolverState",
    "WeightBlob",
    "WeightLayer",
    "Where",
    "load_net",
    "load_solver",
    "read_binaryproto",
    "read_caffemodel",
    "read_solverstate",
    "to_text",
    "write_binaryproto",
    "write_caffemodel",
    "write_solverstate",
]
