"""Presets carry the published numbers; unaries are -log p."""

import math

import pytest
import torch

from repro.crf import Bilateral, DenseCRF, Gaussian, presets, unary_from_labels, unary_from_probabilities


@pytest.mark.parametrize(
    ("preset", "gaussian", "bilateral", "normalization", "iterations"),
    [
        (presets.deconvnet_release, (3, 3), (20, 3, 5), "none", 10),
        (presets.pydensecrf_readme, (3, 3), (80, 13, 10), "symmetric", 5),
        (presets.deeplab_v1, (3, 3), (50, 10, 5), "after", 10),
        (presets.deeplab_v2_resnet, (1, 3), (67, 3, 4), "symmetric", 10),
        (presets.krahenbuhl_2011, (3, 3), (60, 20, 10), "after", 10),
        (presets.crfasrnn, (3, 3), (160, 3, 5), "after", 10),
    ],
)
def test_presets(preset, gaussian, bilateral, normalization: str, iterations: int) -> None:
    crf = preset()
    first, second = crf.kernels
    assert isinstance(first, Gaussian)
    assert isinstance(second, Bilateral)
    assert (first.sxy, first.compat) == gaussian
    assert (second.sxy, second.srgb, second.compat) == bilateral
    assert (crf.normalization, crf.iterations) == (normalization, iterations)


def test_unary_from_probabilities() -> None:
    p = torch.tensor([0.0, 0.25, 1.0])
    assert unary_from_probabilities(p).tolist() == pytest.approx([math.inf, math.log(4), 0.0])
    assert unary_from_probabilities(p, floor=1e-4)[0].item() == pytest.approx(-math.log(1e-4))


def test_unary_from_labels() -> None:
    unary = unary_from_labels(torch.tensor([[0, 2, 255]], dtype=torch.uint8), 3, confidence=0.5, unsure=255)
    assert unary.shape == (3, 1, 3)
    p = torch.exp(-unary)[:, 0]
    torch.testing.assert_close(p[:, 0], torch.tensor([0.5, 0.25, 0.25]))
    torch.testing.assert_close(p[:, 1], torch.tensor([0.25, 0.25, 0.5]))
    torch.testing.assert_close(p[:, 2], torch.full((3,), 1 / 3))
    assert unary_from_labels(torch.zeros(2, 4, 5, dtype=torch.int64), 2).shape == (2, 2, 4, 5)


def test_kernels_may_name_their_own_normalization_and_weights_are_parameters() -> None:
    unary, image = torch.randn(3, 6, 5), torch.zeros(6, 5, 3, dtype=torch.uint8)
    mixed = DenseCRF((Gaussian(3, 3, normalization="none"), Bilateral(20, 13, 5)), iterations=2)
    assert not torch.equal(
        mixed(unary, image), DenseCRF((Gaussian(3, 3), Bilateral(20, 13, 5)), iterations=2)(unary, image)
    )
    assert [p.item() for p in mixed.parameters()] == [3.0, 5.0]
    assert not any(p.requires_grad for p in mixed.parameters())
    learned = DenseCRF((Gaussian(3, 3),), iterations=2, learn=True)
    learned(unary).square().sum().backward()
    assert next(learned.parameters()).grad.abs() > 0


def test_map_picks_the_first_of_equals_and_steps_end_where_forward_does() -> None:
    crf = DenseCRF((Gaussian(3, 3),), iterations=3)
    assert (crf.map(torch.zeros(4, 3, 3)) == 0).all()
    unary = torch.randn(2, 4, 5, 6)
    states = list(crf.steps(unary))
    assert [s.iteration for s in states] == [0, 1, 2, 3]
    assert torch.equal(states[-1].q, crf(unary))
    kl = torch.stack([s.kl() for s in states])
    assert kl.shape == (4, 2)
    assert torch.isfinite(kl).all()


def test_a_step_may_replace_a_share_of_q() -> None:
    unary = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0))
    once = DenseCRF((Gaussian(3, 3),), iterations=1)
    q0, q1 = (state.q for state in once.steps(unary))
    damped = DenseCRF((Gaussian(3, 3),), iterations=1, relaxation=0.25)(unary)
    torch.testing.assert_close(damped, 0.75 * q0 + 0.25 * q1)


def test_probabilities_in_the_unarys_place() -> None:
    probs = torch.softmax(torch.randn(3, 6, 5), dim=0)
    crf = DenseCRF((Gaussian(3, 3),), iterations=2)
    assert torch.equal(crf(probs=probs), crf(-probs.log()))
    assert torch.equal(crf.map(probs=probs.numpy()), crf.map(-probs.log()))


@pytest.mark.parametrize("form", ["diag", "full"])
def test_feature_transforms_change_nothing_until_they_are_trained(form: str) -> None:
    generator = torch.Generator().manual_seed(0)
    unary = torch.randn(3, 9, 8, generator=generator)
    image = torch.randint(0, 256, (9, 8, 3), generator=generator, dtype=torch.uint8)
    plain = DenseCRF((Gaussian(3, 3), Bilateral(20, 13, 5)), iterations=3)
    crf = DenseCRF((Gaussian(3, 3), Bilateral(20, 13, 5, form=form)), iterations=3, learn=True)
    assert torch.equal(crf(unary, image), plain(unary, image))
    assert [tuple(p.shape) for p in crf.parameters()] == [(), (), (5,) if form == "diag" else (5, 5)]
    crf(unary, image)[0].sum().backward()
    (transform,) = crf.transforms.values()
    assert transform.grad.abs().sum() > 0
    with torch.no_grad():
        transform.mul_(0.5)
    wider = DenseCRF((Gaussian(3, 3), Bilateral(40, 26, 5)), iterations=3)
    torch.testing.assert_close(crf(unary, image), wider(unary, image), rtol=1e-3, atol=1e-4)
