"""Caffe's own arithmetic on the CPU in float32, bit for bit: its matrix products, its order of sums, its gradients.

One function per layer type, each with the backward pass Caffe has. Parameter gradients are added to ``.grad`` by the
backward pass itself, the way Caffe accumulates them (`arrays.GradientSum`). Checked against real Caffe at 0 ULP;
docs/numerics.md has the figures.
"""

from repro.exact import libm
from repro.exact.activation import power, relu, sigmoid, tanh
from repro.exact.batch_norm import bn_inference, bn_learn
from repro.exact.blas import BlasInfo, blas_info, blas_threads
from repro.exact.channels import batch_norm, bias, mvn, prelu, scale
from repro.exact.columns import Window
from repro.exact.combine import eltwise_product, eltwise_sum, split
from repro.exact.convolution import convolution, deconvolution
from repro.exact.functions import absolute, bnll, elu, exponential, logarithm, sigmoid_by_tanh, swish
from repro.exact.inner_product import inner_product
from repro.exact.interp import interp
from repro.exact.local import local
from repro.exact.losses import euclidean_loss, sigmoid_loss
from repro.exact.lrn import lrn_across, lrn_within
from repro.exact.normalize import normalize
from repro.exact.pooling import average_pool
from repro.exact.reduction import hinge_loss, reduction
from repro.exact.softmax import softmax, softmax_loss
from repro.exact.vectors import axpby

__all__ = [
    "BlasInfo",
    "Window",
    "absolute",
    "average_pool",
    "axpby",
    "batch_norm",
    "bias",
    "blas_info",
    "blas_threads",
    "bn_inference",
    "bn_learn",
    "bnll",
    "convolution",
    "deconvolution",
    "eltwise_product",
    "eltwise_sum",
    "elu",
    "euclidean_loss",
    "exponential",
    "hinge_loss",
    "inner_product",
    "interp",
    "libm",
    "local",
    "logarithm",
    "lrn_across",
    "lrn_within",
    "mvn",
    "normalize",
    "power",
    "prelu",
    "reduction",
    "relu",
    "scale",
    "sigmoid",
    "sigmoid_by_tanh",
    "sigmoid_loss",
    "softmax",
    "softmax_loss",
    "split",
    "swish",
    "tanh",
]
