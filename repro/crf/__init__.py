"""Fully connected CRFs: DenseCRF, its kernels, presets named after their source, and unary energies."""

from repro.crf import presets
from repro.crf.densecrf import DenseCRF, MeanFieldStep
from repro.crf.kernels import Bilateral, FeatureKernel, Gaussian
from repro.crf.unary import unary_from_labels, unary_from_probabilities

__all__ = [
    "Bilateral",
    "DenseCRF",
    "FeatureKernel",
    "Gaussian",
    "MeanFieldStep",
    "presets",
    "unary_from_labels",
    "unary_from_probabilities",
]
