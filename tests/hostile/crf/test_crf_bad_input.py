"""Input that has no finite answer is refused in words, and nothing crashes."""

import numpy as np
import pytest
import torch

from repro.crf import Bilateral, DenseCRF, FeatureKernel, Gaussian, unary_from_labels, unary_from_probabilities
from repro.errors import InputError
from repro.ops.lattice import PermutohedralLattice

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(4), "expected N×d or B×N×d"),
        (torch.zeros(0, 2), "no points"),
        (torch.zeros(3, 0), "no points"),
        (torch.zeros(3, 9), "at most 8"),
        (torch.zeros(3, 2, dtype=torch.int32), "float32 or float64"),
        (torch.zeros(3, 2, dtype=torch.float16), "float32 or float64"),
        (torch.tensor([[0.0, 0.0], [NAN, 0.0]]), "point 1 of image 0 are not finite"),
        (torch.tensor([[[0.0]], [[INF]]]), "point 0 of image 1 are not finite"),
        (torch.full((3, 2), 1e9), "so large"),
        (torch.full((3, 2), -3e38), "so large"),
        (np.zeros((3, 2)), "expected a tensor"),
    ],
)
def test_features(features: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PermutohedralLattice(features)  # type: ignore[arg-type]


def test_keys_wider_than_127_bits() -> None:
    corners = torch.tensor([[-1.0] * 8, [1.0] * 8]) * 2e5
    spread = torch.eye(8).repeat(2, 1) * 2e5
    with pytest.raises(InputError, match="the vertex keys need"):
        PermutohedralLattice(torch.cat([corners, spread, -spread]).double() * 100)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.zeros(3, 2), "expected 4×C"),
        (torch.zeros(4), "expected 4×C"),
        (torch.zeros(4, 2, dtype=torch.float64), "the lattice torch.float32"),
        (None, "got NoneType"),
    ],
)
def test_values(values: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PermutohedralLattice(torch.zeros(4, 2)).filter(values)  # type: ignore[arg-type]


def test_scales_and_no_channels() -> None:
    lattice = PermutohedralLattice(torch.zeros(4, 2))
    with pytest.raises(InputError, match="scale_in: expected 4"):
        lattice.filter(torch.zeros(4, 2), scale_in=torch.ones(3))
    assert lattice.filter(torch.zeros(4, 0)).shape == (4, 0)


def crf() -> DenseCRF:
    return DenseCRF((Gaussian(3, 3), Bilateral(80, 13, 10)), iterations=2)


UNARY = np.zeros((3, 5, 7), np.float32)
IMAGE = np.zeros((5, 7, 3), np.uint8)


def spoilt(value: float, everywhere: bool = False) -> np.ndarray:
    unary = UNARY.copy()
    unary[:, 2, 4] = value if everywhere else [0, value, 0]
    return unary


@pytest.mark.parametrize(
    ("unary", "image", "message"),
    [
        (spoilt(NAN), IMAGE, "NaN at image 0, row 2, column 4"),
        (spoilt(-INF), IMAGE, "-inf at image 0"),
        (spoilt(INF, everywhere=True), IMAGE, r"\+inf for every label"),
        (UNARY.astype(np.float16), IMAGE, "expected float32 or float64"),
        (UNARY.astype(np.int64), IMAGE, "expected float32 or float64"),
        (UNARY[0], IMAGE, "expected C×H×W or B×C×H×W"),
        (UNARY[:, :0], IMAGE, "nothing in shape"),
        (UNARY[:0], IMAGE, "nothing in shape"),
        ("scores", IMAGE, "tensor or an array"),
        (np.array([["a"]]), IMAGE, "array of numbers"),
        (UNARY, IMAGE[:4], "does not fit the unary's 5×7"),
        (UNARY, IMAGE.transpose(1, 0, 2), "does not fit the unary's 5×7"),
        (UNARY, None, "no image was given"),
        (UNARY, IMAGE[None].repeat(2, 0), "2 images for a unary of 1"),
        (UNARY, IMAGE[..., 0], "expected H×W×K"),
        (UNARY, IMAGE[..., :0], "no channels"),
        (UNARY, np.full((5, 7, 3), NAN), "NaN or infinity"),
        (UNARY, np.zeros((5, 7, 9), np.uint8), "at most 8"),
        (np.zeros((3, 3, 3), np.float32), np.zeros((3, 3, 3), np.uint8), "say layout="),
    ],
)
def test_unary_and_image(unary: object, image: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crf()(unary, image)  # type: ignore[arg-type]


def test_a_good_unary_after_all_these() -> None:
    """Guards against refusing too much: strided, float64, one forbidden label, channels first."""
    wide = torch.zeros(7, 5, 3, dtype=torch.float64).permute(2, 1, 0)
    q = crf()(wide, torch.zeros(3, 5, 7, dtype=torch.uint8))
    assert q.dtype == torch.float64
    torch.testing.assert_close(q, torch.full_like(q, 1 / 3))
    assert crf()(spoilt(INF), IMAGE)[1, 2, 4] == 0


@pytest.mark.parametrize("bad", [0, -1.0, INF, NAN, (3, 0), (1, 2, 3), (), "3", None])
def test_standard_deviations(bad: object) -> None:
    with pytest.raises(InputError, match="sxy"):
        Gaussian(bad, 3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sxy"):
        Bilateral(bad, 13, 3)  # type: ignore[arg-type]


def test_srgb_must_fit_the_channels() -> None:
    with pytest.raises(InputError, match="expected one number or 3, got 2"):
        DenseCRF((Bilateral(80, (13, 13), 10),))(UNARY, IMAGE)


def test_tiny_srgb_is_refused_or_filtered_but_never_crashes() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    q = DenseCRF((Bilateral(80, 0.01, 10),), iterations=2)(UNARY, noise)
    assert torch.isfinite(q).all()
    with pytest.raises(InputError, match="so large"):
        DenseCRF((Bilateral(80, 1e-6, 10),), iterations=2)(UNARY, noise)


@pytest.mark.parametrize("bad", [NAN, [1.0, INF], [[1.0, 2.0]], "x", [], np.zeros((2, 2, 2))])
def test_compatibilities(bad: object) -> None:
    with pytest.raises(InputError, match="compat"):
        DenseCRF((Gaussian(3, bad),))  # type: ignore[arg-type]


def test_compatibility_for_other_labels_and_other_arguments() -> None:
    with pytest.raises(InputError, match="for 2 labels, the unary has 3"):
        DenseCRF((Gaussian(3, [1.0, 2.0]),))(UNARY)
    with pytest.raises(InputError, match="normalization 'sym'"):
        DenseCRF((), normalization="sym")
    with pytest.raises(InputError, match="normalization 'sym'"):
        Gaussian(3, 3, normalization="sym")
    for relaxation in (0, -0.5, 1.5, NAN, True, "1"):
        with pytest.raises(InputError, match="relaxation"):
            DenseCRF((), relaxation=relaxation)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="form 'diagonal'"):
        Gaussian(3, 3, form="diagonal")
    with pytest.raises(InputError, match="say channels="):
        DenseCRF((Bilateral(80, 13, 10, form="diag"),), channels=1)(UNARY, IMAGE)
    for both in ({}, {"unary": UNARY, "probs": UNARY}):
        with pytest.raises(InputError, match="a unary or probs"):
            crf()(image=IMAGE, **both)
    for iterations in (-1, 1.5, True):
        with pytest.raises(InputError, match="iterations"):
            DenseCRF((), iterations=iterations)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at most 8"):
        DenseCRF([Gaussian(3, 3)] * 9)
    with pytest.raises(InputError, match="layout"):
        crf()(UNARY, IMAGE, layout="nhwc")
    with pytest.raises(InputError, match="6 points for a unary of 5×7"):
        DenseCRF((FeatureKernel(torch.zeros(6, 2), 3),))(UNARY)


def test_probabilities_and_labels() -> None:
    with pytest.raises(InputError, match="outside"):
        unary_from_probabilities(torch.tensor([0.5, 1.5]))
    with pytest.raises(InputError, match="outside"):
        unary_from_probabilities(torch.tensor([0.5, NAN]))
    with pytest.raises(InputError, match="float32 or float64"):
        unary_from_probabilities(torch.tensor([1]))
    with pytest.raises(InputError, match="found 3; expected 0 to 2"):
        unary_from_labels(torch.tensor([[0, 3]]), 3)
    with pytest.raises(InputError, match="at least two"):
        unary_from_labels(torch.tensor([[0]]), 1)
    with pytest.raises(InputError, match="confidence"):
        unary_from_labels(torch.tensor([[0]]), 2, confidence=1.0)
    with pytest.raises(InputError, match="integer tensor"):
        unary_from_labels(torch.zeros(2, 2), 2)
