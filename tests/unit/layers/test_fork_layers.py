"""Layers of the segmentation forks against loops written from their definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from repro import Net
from repro.errors import NetError

RANDOM = np.random.default_rng(11)


def run(
    layer: str, numerics: str = "native", dialect: str | None = None, phase: str = "TEST", **inputs: np.ndarray
) -> list[np.ndarray]:
    """Tops of one layer named "l" over these inputs, as the prototxt lists them."""
    head = "".join(
        f'input: "{n}" input_shape {{ {" ".join(f"dim: {d}" for d in x.shape)} }}\n' for n, x in inputs.items()
    )
    net = Net(head + layer, numerics=numerics, dialect=dialect, phase=phase, seed=1)
    with torch.no_grad():
        blobs = net(capture=True, **{n: torch.from_numpy(x) for n, x in inputs.items()})
    (step,) = [s for s in net.graph.steps if s.layer.spec.name == "l"]
    return [blobs[f"{step.key}__{top}"].numpy() for top in step.layer.spec.tops]


def noise(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def interpolated(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    out = np.empty((*x.shape[:2], *size), np.float64)
    for i, j in itertools.product(range(size[0]), range(size[1])):
        at = [k * (n - 1) / (s - 1) if s > 1 else 0.0 for k, n, s in zip((i, j), x.shape[2:], size, strict=True)]
        (a, b), (c, d) = ((int(v), min(int(v) + 1, n - 1)) for v, n in zip(at, x.shape[2:], strict=True))
        p, q = at[0] - a, at[1] - c
        out[:, :, i, j] = (1 - p) * ((1 - q) * x[:, :, a, c] + q * x[:, :, a, d]) + p * (
            (1 - q) * x[:, :, b, c] + q * x[:, :, b, d]
        )
    return out


@pytest.mark.parametrize("numerics", ["native", "exact"])
@pytest.mark.parametrize(
    ("options", "cut", "size"),
    [
        ("zoom_factor: 3", (0, 0), (10, 13)),
        ("shrink_factor: 2", (0, 0), (2, 3)),
        ("shrink_factor: 2 zoom_factor: 2", (0, 0), (3, 5)),
        ("height: 7 width: 2 pad_beg: -1", (1, 0), (7, 2)),
        ("height: 1 width: 9 pad_end: -2", (0, 2), (1, 9)),
    ],
)
def test_interp(numerics: str, options: str, cut: tuple[int, int], size: tuple[int, int]) -> None:
    x = noise(2, 3, 4, 5)
    layer = f'layer {{ name: "l" type: "Interp" bottom: "x" top: "y" interp_param {{ {options} }} }}'
    (y,) = run(layer, numerics, "deeplab_v2", x=x)
    inner = x[:, :, cut[0] : 4 - cut[1], cut[0] : 5 - cut[1]]
    np.testing.assert_allclose(y, interpolated(inner, size), rtol=0, atol=2e-6)


def test_interps_gradient_is_the_same_in_both_tiers() -> None:
    layer = """input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 5 }
    layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { zoom_factor: 3 } }"""
    x, dy = torch.from_numpy(noise(2, 3, 4, 5)), torch.from_numpy(noise(2, 3, 10, 13))
    found = []
    for numerics in ("native", "exact"):
        given = x.clone().requires_grad_()
        Net(layer, numerics=numerics, dialect="deeplab_v2")(x=given)["y"].backward(dy)
        found.append(given.grad)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=5e-6)


@pytest.mark.parametrize("numerics", ["native", "exact"])
def test_padding_and_crops(numerics: str) -> None:
    x, like = noise(1, 2, 5, 6), noise(1, 3, 3, 4)
    layer = 'layer { name: "l" type: "Padding" bottom: "x" top: "y" padding_param { pad_beg: 1 pad_end: 2 } }'
    np.testing.assert_array_equal(
        run(layer, numerics, "deeplab_v2", x=x)[0], np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
    )
    layer = 'layer { name: "l" type: "SimpleCrop" bottom: "x" bottom: "like" top: "y" }'
    np.testing.assert_array_equal(run(layer, numerics, x=x, like=like)[0], x[:, :, :3, :4])
    layer = 'layer { name: "l" type: "MergeCrop" bottom: "like" bottom: "x" top: "y" }'
    expected = np.concatenate([like, x[:, :, 1:4, 1:5]], 1)
    np.testing.assert_array_equal(run(layer, numerics, x=x, like=like)[0], expected)


@pytest.mark.parametrize("numerics", ["native", "exact"])
def test_upsample_puts_values_where_the_mask_says(numerics: str) -> None:
    x, mask = noise(1, 1, 2, 2), np.array([[[[5, 2], [13, 8]]]], np.float32)
    layer = 'layer { name: "l" type: "Upsample" bottom: "x" bottom: "m" top: "y" upsample_param { scale: 2 } }'
    expected = np.zeros(16, np.float32)
    expected[[5, 2, 13, 8]] = x.reshape(-1)
    np.testing.assert_array_equal(run(layer, numerics, "segnet", x=x, m=mask)[0].reshape(-1), expected)


def test_segmentation_accuracy() -> None:
    scores = np.zeros((1, 3, 1, 5), np.float32)
    for place, chosen in enumerate((0, 1, 1, 2, 0)):
        scores[0, chosen, 0, place] = 1
    label = np.array([0, 1, 2, 2, 255], np.float32).reshape(1, 1, 1, 5)
    layer = """layer { name: "l" type: "SegAccuracy" bottom: "x" bottom: "t" top: "y"
    seg_accuracy_param { ignore_label: 255 } }"""
    (y,) = run(layer, dialect="deeplab_v2", x=scores, t=label)
    np.testing.assert_allclose(y.reshape(-1), [3 / 4, (1 + 1 + 1 / 2) / 3, (1 + 1 / 2 + 1 / 2) / 3], rtol=1e-6)


def test_smooth_l1() -> None:
    a, b = noise(4, 3), noise(4, 3) * 2
    layer = 'layer { name: "l" type: "SmoothL1Loss" bottom: "a" bottom: "b" top: "y" }'
    d = np.abs(a - b).astype(np.float64)
    expected = np.where(d < 1, d * d / 2, d - 0.5).sum() / 4
    assert run(layer, a=a, b=b)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("numerics", ["native", "exact"])
def test_local_is_a_convolution_with_weights_of_its_own_at_every_place(numerics: str) -> None:
    text = """input: "x" input_shape { dim: 2 dim: 2 dim: 4 dim: 5 }
    layer { name: "l" type: "Local" bottom: "x" top: "y" local_param { num_output: 3 kernel_size: 3 stride: 2 pad: 1
      weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } } }"""
    net = Net(text, numerics=numerics, dialect="deconvnet_local", seed=3)
    x = noise(2, 2, 4, 5)
    weight, bias = (p.detach().numpy() for p in net.params["l"])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = net(x=x)["y"].detach().numpy()
    assert y.shape == (2, 3, 2, 3)
    for n, o, i, j in itertools.product(range(2), range(3), range(2), range(3)):
        window = padded[n, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].reshape(-1)
        assert y[n, o, i, j] == pytest.approx(window @ weight[o, 0, :, 3 * i + j] + bias[0, 0, o, 3 * i + j], abs=1e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_normalize_in_both_tiers(whole: bool) -> None:
    text = f"""input: "x" input_shape {{ dim: 2 dim: 3 dim: 4 dim: 5 }} layer {{ name: "l" type: "Normalize" bottom: "x"
    top: "y" norm_param {{ across_spatial: {str(whole).lower()} channel_shared: {str(whole).lower()}
    scale_filler {{ type: "constant" value: 20 }} }} }}"""
    x, dy = noise(2, 3, 4, 5), torch.from_numpy(noise(2, 3, 4, 5))
    norm = np.sqrt((x.astype(np.float64) ** 2).sum((1, 2, 3) if whole else 1, keepdims=True))
    found = []
    for numerics in ("native", "exact"):
        net = Net(text, numerics=numerics, dialect="ssd")
        given = torch.from_numpy(x).requires_grad_()
        y = net(x=given)["y"]
        np.testing.assert_allclose(y.detach().numpy(), 20 * x / norm, rtol=2e-6)
        y.backward(dy)
        found.append((given.grad, net.params["l"][0].grad))
    for native, exact in zip(*found, strict=True):
        torch.testing.assert_close(native, exact, rtol=1e-4, atol=1e-5)


def test_region_pooling() -> None:
    x, rois = noise(2, 2, 6, 7), np.array([[1, 1, 1, 5, 4], [0, 3, 2, 3, 2]], np.float32)
    layer = """layer { name: "l" type: "ROIPooling" bottom: "x" bottom: "r" top: "y"
    roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 1 } }"""
    (y,) = run(layer, x=x, r=rois)
    for k, (item, x1, y1, x2, y2) in enumerate(rois.astype(int)):
        for i, j in itertools.product(range(2), range(2)):
            h, w = (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2
            rows = slice(y1 + math.floor(i * h), y1 + math.ceil((i + 1) * h))
            columns = slice(x1 + math.floor(j * w), x1 + math.ceil((j + 1) * w))
            np.testing.assert_array_equal(y[k, :, i, j], x[item, :, rows, columns].max((1, 2)))


@pytest.mark.parametrize("kind", ["COLLECT", "DISTRIBUTE"])
def test_attention(kind: str) -> None:
    x, mask = noise(1, 2, 2, 3), noise(1, 15, 2, 3)
    layer = f"""layer {{ name: "l" type: "PointwiseSpatialAttention" bottom: "x" bottom: "m" top: "y"
    pointwise_spatial_attention_param {{ psa_type: {kind} }} }}"""
    (y,) = run(layer, dialect="pspnet", x=x, m=mask)
    expected = np.zeros((2, 2, 3))
    for i, j, k, q in itertools.product(range(2), range(3), range(2), range(3)):
        # the mask at a place, over where the other lies from it
        weight = mask[0, (k - i + 1) * 5 + (q - j + 2), i, j]
        if kind == "COLLECT":
            expected[:, i, j] += weight * x[0, :, k, q]
        else:
            expected[:, k, q] += weight * x[0, :, i, j]
    np.testing.assert_allclose(y[0], expected / 15, rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    x, like = noise(1, 2, 3, 3), noise(1, 2, 5, 3)
    with pytest.raises(NetError, match=r"layer 'l'.*smaller than"):
        run('layer { name: "l" type: "SimpleCrop" bottom: "x" bottom: "like" top: "y" }', x=x, like=like)
    with pytest.raises(NetError, match=r"layer 'l'.*at least 1"):
        run(
            'layer { name: "l" type: "Interp" bottom: "x" top: "y" interp_param { zoom_factor: 0 } }',
            dialect="deeplab_v2",
            x=x,
        )
