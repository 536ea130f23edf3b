"""Caffe's six updates as `torch.optim.Optimizer`s, in two ages, usable without the rest of this project.

Let g be the gradient summed over ``iter_size`` backward passes, w the parameter, r = lr·lr_mult, d = decay·decay_mult:

- ``caffe="2015"`` (the authors' fork): g + d·w is the gradient, and SGD takes r / iter_size for its rate, so that
  weight decay is divided by iter_size too. Nesterov and AdaGrad do not divide by iter_size at all; the others are
  younger, and so is ``clip_gradients``.
- ``caffe="bvlc"`` (later Caffe): clip g to an L2 norm over all parameters, divide it by iter_size, then add d·w.

With regularization "L1" d·sign(w) takes the place of d·w. Every product is rounded to float32 in the order of Caffe's
axpy and axpby calls; with ``numerics="exact"`` they are those calls themselves, and every bit is Caffe's.

>>> optimizer = CaffeSGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, caffe="bvlc")  # doctest: +SKIP

Source: src/caffe/solver.cpp of HyeonwooNoh/caffe; src/caffe/solvers/*.cpp of BVLC Caffe 1.0.
"""

from repro.solver.optim.adaptive import CaffeAdaDelta, CaffeAdaGrad, CaffeAdam, CaffeRMSProp
from repro.solver.optim.base import AGES, CaffeNesterov, CaffeOptimizer, CaffeSGD

OPTIMIZERS: dict[str, type[CaffeOptimizer]] = {
    "SGD": CaffeSGD,
    "Nesterov": CaffeNesterov,
    "AdaGrad": CaffeAdaGrad,
    "RMSProp": CaffeRMSProp,
    "AdaDelta": CaffeAdaDelta,
    "Adam": CaffeAdam,
}

__all__ = [
    "AGES",
    "OPTIMIZERS",
    "CaffeAdaDelta",
    "CaffeAdaGrad",
    "CaffeAdam",
    "CaffeNesterov",
    "CaffeOptimizer",
    "CaffeRMSProp",
    "CaffeSGD",
]
