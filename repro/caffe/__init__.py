"""Caffe's file formats, read and written without Caffe, protobuf or torch: nets, solvers, weights, solver states."""

from repro.caffe.message import Message, Where
from repro.caffe.netspec import LayerSpec, NetSpec, ParamSpec, SolverSpec, load_net, load_solver

__all__ = [
    "LayerSpec",
    "Message",
    "NetSpec",
    "ParamSpec",
    "SolverSpec",
    "Where",
    "load_net",
    "load_solver",
]
