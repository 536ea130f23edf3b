"""Caffe's own arithmetic on the CPU in float32, bit for bit: its matrix products, its order of sums, its gradients.

One function per layer type, each with the backward pass Caffe has. Parameter gradients are added to ``.grad`` by the
backward pass itself, the way Caffe accumulates them (`arrays.GradientSum`). Checked against real Caffe at 0 ULP;
docs/numerics.md has the figures.
"""

from repro.exact.activation import power, relu, sigmoid, tanh
from repro.exact.batch_norm import bn_inference, bn_learn
from repro.exact.blas import BlasInfo, blas_info, blas_threads
from repro.exact.columns import Window
from repro.exact.combine import eltwise_product, eltwise_sum, split
from repro.exact.convolution import convolution, deconvolution
from repro.exact.inner_product import inner_product
from repro.exact.lrn import lrn_across, lrn_within
from repro.exact.pooling import average_pool
from repro.exact.softmax import softmax, softmax_loss

__all__ = [
    "BlasInfo",
    "Window",
    "average_pool",
    "blas_info",
    "blas_threads",
    "bn_inference",
    "bn_learn",
    "convolution",
    "deconvolution",
    "eltwise_product",
    "eltwise_sum",
    "inner_product",
    "lrn_across",
    "lrn_within",
    "power",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_loss",
    "split",
    "tanh",
]
