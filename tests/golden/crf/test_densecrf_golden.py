"""DenseCRF against pydensecrf 2723c7f on small images: parameters, normalisations, compatibilities, edge cases.

Tolerances are what the reference differs from itself by when computed in float64 or embedded with another rounding;
what was measured here is beside them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from repro.crf import Bilateral, DenseCRF, FeatureKernel, Gaussian, presets, unary_from_labels

P9999, MEAN, KL = 3e-4, 1e-6, 2e-5  # measured: 2.7e-6, 3.1e-9, 1.3e-5


@pytest.fixture(scope="module")
def data(golden_data: Path):
    return lambda name: dict(np.load(golden_data / "crf" / f"{name}.npz"))


def assert_close(q: torch.Tensor, wanted: np.ndarray) -> None:
    found = q.numpy().reshape(wanted.shape)
    difference = np.abs(found - wanted)
    assert np.quantile(difference, 0.9999) < P9999
    assert difference.mean() < MEAN
    assert (found.argmax(0) != wanted.argmax(0)).sum() <= wanted.shape[1] // 10_000


def readme(gaussian: object = 3.0, bilateral: object = 10.0, **options: object) -> DenseCRF:
    return DenseCRF((Gaussian(3, gaussian), Bilateral(80, 13, bilateral)), iterations=5, **options)


@pytest.mark.parametrize("name", ["NO", "SYM"])
def test_deconvnets_parameters_step_by_step_with_kl(data, name: str) -> None:
    golden = data("crop60x80_deconvnet")
    crf = presets.deconvnet_release()
    if name == "SYM":
        crf.normalization = "symmetric"
    kl = []
    for step in crf.steps(golden["U"], golden["image"]):
        kl.append(step.kl().item())
        wanted = golden.get(f"{name}_Q{step.iteration}")
        if wanted is not None:
            assert_close(step.q, wanted)
    assert len(kl) == 11
    np.testing.assert_allclose(kl, golden[f"{name}_kl"], rtol=KL)
    labels = crf.map(golden["U"], golden["image"])
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels.numpy().reshape(-1), golden[f"{name}_map10"])


@pytest.mark.parametrize(
    ("name", "normalization"), [("NO", "none"), ("BEFORE", "before"), ("AFTER", "after"), ("SYM", "symmetric")]
)
def test_every_normalization_where_the_pixels_are_no_multiple_of_four(data, name: str, normalization: str) -> None:
    golden = data("norms37x45_readme")
    assert_close(readme(normalization=normalization)(golden["U"], golden["image"]), golden[f"Q5_{name}"])


@pytest.mark.parametrize("kind", ["scalar3", "minus3I", "diag", "potts3_matrix", "sym", "asym"])
@pytest.mark.parametrize(("name", "normalization"), [("AFTER", "after"), ("SYM", "symmetric")])
def test_every_compatibility(data, kind: str, name: str, normalization: str) -> None:
    image, golden = data("norms37x45_readme"), data("compat37x45")
    given = {"scalar3": 3.0, "minus3I": -3.0 * np.eye(21, dtype=np.float32)}
    compat = given[kind] if kind in given else golden[f"compat_{kind}"]
    kl = []
    for step in readme(compat, compat, normalization=normalization).steps(image["U"], image["image"]):
        kl.append(step.kl().item())
        wanted = golden.get(f"{kind}_{name}_Q{step.iteration}")
        if wanted is not None:
            assert_close(step.q, wanted)
    np.testing.assert_allclose(kl, golden[f"{kind}_{name}_kl"], rtol=KL)


def test_four_channel_features_and_gray_features(data) -> None:
    edge = data("edge")
    gaussian, bilateral, gray = (torch.from_numpy(edge[k].T.copy()) for k in ("ch4_fg", "ch4_fb", "gray_f"))
    unary = edge["ch4_U"].reshape(4, 30, 41)
    crf = DenseCRF((FeatureKernel(gaussian, 3), FeatureKernel(bilateral, 10)), iterations=5)
    states = list(crf.steps(unary))
    assert_close(states[1].q, edge["ch4_Q1"])
    assert_close(states[5].q, edge["ch4_Q5"])
    np.testing.assert_allclose([s.kl().item() for s in states], edge["ch4_kl"], rtol=KL)
    assert_close(DenseCRF((FeatureKernel(gray, 10),), iterations=5)(unary), edge["gray_Q5"])


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_few_labels(data, labels: int) -> None:
    edge = data("edge")
    unary = edge[f"L{labels}_U"].reshape(labels, 30, 41)
    states = list(readme().steps(unary, edge["rgb3"]))
    assert_close(states[5].q, edge[f"L{labels}_Q5"])
    np.testing.assert_allclose([s.kl().item() for s in states], edge[f"L{labels}_kl"], rtol=KL)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 1), (2, 2)])
def test_tiny_images(data, height: int, width: int) -> None:
    edge = data("edge")
    unary = edge["ch4_U"][:, : height * width].reshape(4, height, width)
    q = readme()(unary, edge["rgb3"][:height, :width], layout="hwc")
    assert_close(q, edge[f"tiny{height}x{width}_Q5"])


def test_hard_labels_and_the_unary_made_of_them(data) -> None:
    edge = data("edge")
    # The reference counts classes from 1 and means "unsure" by 0.
    unary = unary_from_labels(torch.from_numpy(edge["hard_labels"].astype(np.int64) - 1), 3, confidence=0.7, unsure=-1)
    np.testing.assert_allclose(unary.numpy().reshape(3, -1), edge["hard_U"], rtol=1e-6)
    crf = DenseCRF((Bilateral(80, 13, 10),), iterations=5)
    assert_close(crf(unary, edge["rgb3"]), edge["hard_Q5"])


def test_no_kernels_huge_energies_and_forbidden_labels(data) -> None:
    edge = data("edge")
    unary = edge["ch4_U"].reshape(4, 30, 41)
    assert_close(DenseCRF(())(unary), edge["nopair_Q"])
    assert_close(DenseCRF((Gaussian(3, 3),), iterations=5)(unary * np.float32(1e4)), edge["huge_Q5"])
    forbidden = edge["inf_U"].reshape(4, 30, 41)
    assert np.isinf(forbidden).any()
    q = readme()(forbidden, edge["rgb3"])
    assert_close(q, edge["inf_Q5"])
    assert (q.numpy()[np.isinf(forbidden)] == 0).all()
