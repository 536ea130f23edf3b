"""DenseCRF and MultiStageMeanfield: against the project's own CRF and against a lattice written with loops."""

from __future__ import annotations

import pytest
import torch

from repro import Net
from repro.crf import Bilateral, DenseCRF, Gaussian
from repro.errors import InputError, NetError
from repro.ops.reference_lattice import ReferenceLattice

DEEPLAB = """
input: "scores" input_dim: 1 input_dim: 4 input_dim: 9 input_dim: 11
input: "size" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 2
input: "image" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 11
layer { name: "crf" type: "DenseCRF" bottom: "scores" bottom: "size" bottom: "image" top: "q"
  dense_crf_param { max_iter: 4 pos_w: 3 pos_xy_std: 3 bi_w: 5 bi_xy_std: 30 bi_rgb_std: 8 OUT } }
"""
CRFASRNN = """
input: "u" input_dim: 2 input_dim: 3 input_dim: 5 input_dim: 6
input: "q0" input_dim: 2 input_dim: 3 input_dim: 5 input_dim: 6
input: "image" input_dim: 2 input_dim: 3 input_dim: 5 input_dim: 6
layer { name: "crf" type: "MultiStageMeanfield" bottom: "u" bottom: "q0" bottom: "image" top: "y"
  multi_stage_meanfield_param { num_iterations: 3 theta_alpha: 20 theta_beta: 6 theta_gamma: 3
    WEIGHTS } }
"""
STRINGS = 'spatial_filter_weights_str: "3 3.5 4" bilateral_filter_weights_str: "5 6 7"'


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_densecrf_is_the_crf_with_its_normalisation_behind_the_filter() -> None:
    scores, image = random(1, 4, 9, 11, scale=2), (random(1, 3, 9, 11, scale=40) + 128).clamp(0, 255).round()
    net = Net(DEEPLAB.replace("OUT", ""))
    q = net(scores=scores, size=[[[[9, 11]]]], image=image)["q"]
    crf = DenseCRF(
        (Gaussian(sxy=3, compat=3), Bilateral(sxy=30, srgb=8, compat=5)), normalization="after", iterations=4
    )
    torch.testing.assert_close(q, crf(-scores, image.to(torch.uint8)), rtol=1e-5, atol=1e-6)
    logs = Net(DEEPLAB.replace("OUT", "output_probability: false"))(scores=scores, size=[[[[9, 11]]]], image=image)["q"]
    torch.testing.assert_close(logs, q.log(), rtol=1e-6, atol=1e-6)


def test_densecrf_leaves_out_what_lies_beyond_the_image() -> None:
    scores, image = random(1, 4, 9, 11), random(1, 3, 9, 11, scale=40)
    net = Net(DEEPLAB.replace("OUT", ""))
    q = net(scores=scores, size=[[[[7, 8]]]], image=image)["q"]
    assert float(q[:, :, 7:].abs().max()) == float(q[:, :, :, 8:].abs().max()) == 0
    inner = Net(DEEPLAB.replace("OUT", ""), shapes={"scores": (1, 4, 7, 8), "image": (1, 3, 7, 8)})
    again = inner(scores=scores[:, :, :7, :8], size=[[[[7, 8]]]], image=image[:, :, :7, :8])["q"]
    torch.testing.assert_close(q[:, :, :7, :8], again, rtol=0, atol=0)
    with pytest.raises(InputError, match="is said to be"):
        net(scores=scores, size=[[[[0, 8]]]], image=image)


def test_multi_stage_meanfield_is_its_formula_on_a_lattice_of_loops() -> None:
    net = Net(CRFASRNN.replace("WEIGHTS", STRINGS)).double()
    u, image = random(2, 3, 5, 6).double(), random(2, 3, 5, 6, scale=20).double()
    y = net(u=u, q0=u, image=image)["y"]
    s, b, m = (p.detach()[0, 0] for p in net.params["crf"])
    assert s.diagonal().tolist() == [3, 3.5, 4]
    assert torch.equal(m, -torch.eye(3, dtype=m.dtype))
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(6.0), indexing="ij")
    places = torch.stack((columns, rows), -1).reshape(-1, 2)
    for k in range(2):
        colours = image[k].float().flatten(1).T
        filters = []
        for features in (places / 3, torch.cat((places / 20, colours / 6), 1)):
            lattice = ReferenceLattice(features.numpy())
            norm = lattice.filter(torch.ones(30, 1).double().numpy()) + 1e-20
            filters.append((lattice, norm))
        field = u[k].flatten(1).T
        for _ in range(3):
            q = field.softmax(1).numpy()
            smooth, colour = (torch.from_numpy(lattice.filter(q) / norm) for lattice, norm in filters)
            field = u[k].flatten(1).T - (smooth @ s.T + colour @ b.T) @ m.T
        torch.testing.assert_close(y[k].flatten(1).T, field, rtol=1e-5, atol=1e-5)


def test_multi_stage_meanfield_learns_all_three_matrices() -> None:
    net = Net(CRFASRNN.replace("WEIGHTS", "spatial_filter_weight: 3 bilateral_filter_weight: 5"), phase="TRAIN")
    u = random(2, 3, 5, 6).requires_grad_()
    net(u=u, q0=u, image=random(2, 3, 5, 6, scale=20))["y"].square().sum().backward()
    for parameter in (*net.params["crf"], u):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("theta_beta: 6", "theta_beta: 0", "theta_beta is 0"),
        ("num_iterations: 3", "num_iterations: 1", "more than 1"),
        ('"3 3.5 4"', '"3 3.5"', "2 weights for 3 classes"),
        ('"3 3.5 4"', '"3 x 4"', "expected numbers"),
    ],
)
def test_bad_options(old: str, new: str, message: str) -> None:
    with pytest.raises(NetError, match=message):
        Net(CRFASRNN.replace("WEIGHTS", STRINGS).replace(old, new))


def test_the_crf_of_ccnn_gives_the_crfs_labels() -> None:
    text = """
input: "scores" input_dim: 1 input_dim: 4 input_dim: 9 input_dim: 11
input: "image" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 11
layer { name: "crf" type: "DenseCRF" bottom: "scores" bottom: "image" top: "labels"
  densecrf_param { x_gauss: 3 y_gauss: 3 wt_gauss: 3 x_bilateral: 30 y_bilateral: 30 wt_bilateral: 5
    r_bilateral: 8 g_bilateral: 8 b_bilateral: 8 } }
"""
    scores, image = random(1, 4, 9, 11, scale=2), (random(1, 3, 9, 11, scale=40) + 128).clamp(0, 255).round()
    net = Net(text)
    assert net.spec.dialect == "ccnn"
    labels = net(scores=scores, image=image)["labels"]
    crf = DenseCRF(
        (Gaussian(sxy=3, compat=3), Bilateral(sxy=30, srgb=8, compat=5)), normalization="after", iterations=10
    )
    assert torch.equal(labels[:, 0].to(torch.uint8), crf.map(-scores, image.flip(1).to(torch.uint8)))
