"""DenseCRFs with published parameters, each named after where its numbers come from."""

from __future__ import annotations

from repro.crf.densecrf import DenseCRF
from repro.crf.kernels import Bilateral, Gaussian


def deconvnet_release() -> DenseCRF:
    """What the DeconvNet authors' script runs: unnormalised, 10 iterations.

    inference/generate_EDeconvNet_CRF_results.m:125-141 (HyeonwooNoh/DeconvNet 87dd133): smoothness std 3, weight 3;
    bilateral std 20 in position and 3 in colour, weight 5; 10 iterations. It goes through meanfield-matlab, whose
    default is NO_NORMALIZATION (johannesu/meanfield-matlab b907e5b, Densecrf.m:55).
    """
    return DenseCRF((Gaussian(3, 3), Bilateral(20, 3, 5)), normalization="none", iterations=10)


def pydensecrf_readme() -> DenseCRF:
    """The example of pydensecrf's README (lucasb-eyer/pydensecrf): (3, 3), (80, 13, 10), symmetric, 5 iterations."""
    return DenseCRF((Gaussian(3, 3), Bilateral(80, 13, 10)), normalization="symmetric", iterations=5)


def deeplab_v1() -> DenseCRF:
    """DeepLab v1 as released with the vgg128_noup model: bilateral weight 5, position 50, colour 10; 10 iterations.

    The smoothness kernel is fixed at std 3 and weight 3 in the paper's search (Chen et al. 2015, section 4). The paper
    names no normalisation; its repository calls the 2011 library (TheLegendAli/DeepLab-Context,
    densecrf/refine_pascal/dense_inference.cpp), whose default is "after" (see krahenbuhl_2011).
    """
    return DenseCRF((Gaussian(3, 3), Bilateral(50, 10, 5)), normalization="after", iterations=10)


def deeplab_v1_msc() -> DenseCRF:
    """DeepLab v1 with scores of lower layers (MSc) as released: bilateral weight 3, position 95, colour 3; else as v1.

    As kept with the released models in TheLegendAli/DeepLab-Context.
    """
    return DenseCRF((Gaussian(3, 3), Bilateral(95, 3, 3)), normalization="after", iterations=10)


def deeplab_v2_resnet() -> DenseCRF:
    """DeepLab v2, ResNet-101, in the re-run of kazuto1011/deeplab-pytorch (4219467): 77.93 against 77.69 published.

    Smoothness std 1, weight 3; bilateral std 67 in position and 3 in colour, weight 4; symmetric, 10 iterations.
    """
    return DenseCRF((Gaussian(1, 3), Bilateral(67, 3, 4)), normalization="symmetric", iterations=10)


def krahenbuhl_2011() -> DenseCRF:
    """The example of the authors' 2011 release: (3, 3), (60, 20, 10), 10 iterations.

    examples/dense_inference.cpp of the densecrf code for Krähenbühl and Koltun 2011. That release divides a kernel's
    output by its response to ones (PottsPotential, per_pixel_normalization, densecrf.cpp), here "after"; "symmetric"
    became the default in the later library.
    """
    return DenseCRF((Gaussian(3, 3), Bilateral(60, 20, 10)), normalization="after", iterations=10)


def crfasrnn() -> DenseCRF:
    """What the CRF-RNN demo starts from (torrvision/crfasrnn 2156669, README): (3, 3), (160, 3, 5), 10 iterations.

    theta_gamma 3 and spatial_filter_weight 3, theta_alpha 160, theta_beta 3 and bilateral_filter_weight 5,
    compatibility POTTS. The layer divides a filter's output by its response to ones (meanfield_iteration.cpp). The
    released model's own weights and compatibilities are trained and come with its caffemodel.
    """
    return DenseCRF((Gaussian(3, 3), Bilateral(160, 3, 5)), normalization="after", iterations=10)
