"""The exact tier's parts against plain definitions, and what it refuses; its bits are the golden tests' business."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro import Net, exact
from repro.errors import InputError, UnsupportedError
from repro.exact import blas, libm
from repro.exact.columns import Window, col2im, im2col
from repro.layers.activation import Sigmoid

WINDOWS = [
    Window((3, 3), (1, 1), (1, 1), (1, 1)),
    Window((2, 3), (2, 1), (0, 2), (1, 1)),
    Window((3, 2), (1, 2), (2, 1), (2, 3)),
    Window((1, 1), (1, 1), (0, 0), (1, 1)),
    Window((1, 1), (3, 2), (0, 0), (1, 1)),
]


@pytest.fixture(scope="module", autouse=True)
def _openblas() -> None:
    try:
        exact.blas_info()
    except UnsupportedError as error:
        pytest.skip(str(error))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_gemm_has_the_meaning_of_matmul(transpose_a: bool, transpose_b: bool) -> None:
    a, b, out = draw(4, 3).numpy(), draw(3, 5).numpy(), draw(4, 5).numpy()
    expected = 2 * (a.astype(np.float64) @ b) - out
    given = [np.ascontiguousarray(m.T) if t else m for m, t in ((a, transpose_a), (b, transpose_b))]
    blas.gemm(*given, out, alpha=2, beta=-1, transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blas_refuses_what_it_would_misread() -> None:
    a = draw(4, 4).numpy()
    with pytest.raises(ValueError, match="C-contiguous float32"):
        blas.gemm(a.T, a, np.empty((4, 4), np.float32))
    with pytest.raises(ValueError, match="C-contiguous float32"):
        blas.axpy(1.0, a.astype(np.float64), np.empty(16, np.float32))
    with pytest.raises(ValueError, match="gemm"):
        blas.gemm(a, draw(3, 4).numpy(), np.empty((4, 4), np.float32))
    with pytest.raises(ValueError, match="gemv"):
        blas.gemv(a, np.ones(3, np.float32), np.ones(4, np.float32))


def test_blas_threads_are_set_back() -> None:
    before = exact.blas_info().threads
    with exact.blas_threads(1):
        assert exact.blas_info().threads == 1
    assert exact.blas_info().threads == before
    with pytest.raises(InputError, match="1 thread"), exact.blas_threads(0):
        pass


def test_blas_info_names_the_kernels() -> None:
    info = exact.blas_info()
    assert "OpenBLAS" in info.config
    assert info.core in str(info)


@pytest.mark.parametrize("window", WINDOWS)
def test_columns_hold_what_the_window_sees(window: Window) -> None:
    image = draw(2, 6, 7)
    expected = F.unfold(image[None], window.kernel, window.dilation, window.pad, window.stride)[0]
    np.testing.assert_array_equal(im2col(image.numpy(), window), expected.numpy())


@pytest.mark.parametrize("window", WINDOWS)
def test_col2im_is_the_adjoint_of_im2col(window: Window) -> None:
    image = draw(2, 6, 7).numpy()
    columns = draw(*im2col(image, window).shape, seed=1).numpy()
    back = col2im(columns, 2, (6, 7), window)
    forth = float((im2col(image, window).astype(np.float64) * columns).sum())
    assert math.isclose(forth, float((image.astype(np.float64) * back).sum()), rel_tol=1e-5, abs_tol=1e-5)


@pytest.mark.parametrize("window", WINDOWS[:3])
def test_convolutions_agree_with_torch_forward_and_backward(window: Window) -> None:
    x, w, b = draw(2, 4, 6, 7), draw(6, 2, *window.kernel, seed=1), draw(6, seed=2)
    leaves = [[t.clone().requires_grad_() for t in (x, w, b)] for _ in (0, 1)]
    (ours,) = exact.convolution(leaves[0][:1], *leaves[0][1:], window, 2)
    theirs = F.conv2d(*leaves[1], window.stride, window.pad, window.dilation, 2)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    dy = draw(*ours.shape, seed=3)
    ours.backward(dy)
    theirs.backward(dy)
    for mine, other in zip(*leaves, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-4)
    w, b = draw(4, 3, *window.kernel, seed=4), draw(6, seed=5)
    (ours,) = exact.deconvolution([x], w, b, window, 2)
    theirs = F.conv_transpose2d(x, w, b, window.stride, window.pad, 0, 2, window.dilation)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_parameter_gradients_add_to_what_is_there() -> None:
    window = WINDOWS[0]
    w = draw(2, 3, 3, 3).requires_grad_()
    (y,) = exact.convolution([draw(1, 3, 5, 5)], w, None, window, 1)
    y.sum().backward()
    once = w.grad.clone()
    (y,) = exact.convolution([draw(1, 3, 5, 5)], w, None, window, 1)
    y.sum().backward()
    torch.testing.assert_close(w.grad, 2 * once)


def test_a_computed_weight_gets_its_gradient_through_autograd() -> None:
    window = WINDOWS[0]
    base = draw(2, 3, 3, 3).requires_grad_()
    (y,) = exact.convolution([draw(1, 3, 5, 5)], base * 2, None, window, 1)
    y.sum().backward()
    other = base.detach().clone().requires_grad_()
    F.conv2d(draw(1, 3, 5, 5), other * 2, None, 1, 1).sum().backward()
    torch.testing.assert_close(base.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_relu_adds_both_terms_as_the_original() -> None:
    values = torch.tensor([math.nan, -math.inf, -0.0, 0.0, -2.0, 3.0, math.inf])
    y = exact.relu(values).numpy()
    np.testing.assert_array_equal(y[2:], np.float32([-0.0, 0.0, 0.0, 3.0, np.inf]))
    assert np.signbit(y[2])
    assert np.isnan(y[:2]).all()


def test_split_adds_gradients_in_the_order_of_the_readers() -> None:
    x = torch.zeros(1, requires_grad=True)
    # (1 + 2^24) - 2^24 is 0 in float32, 1 + (2^24 - 2^24) is 1
    branches = exact.split(x, 3)
    sum(b * f for b, f in zip(branches, (1.0, 2.0**24, -(2.0**24)), strict=True)).backward()
    assert x.grad.item() == 0.0


def test_a_net_splits_a_blob_that_three_layers_read() -> None:
    text = 'input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1\n'
    for k, scale in enumerate((1, 16777216, -16777216)):
        text += f'layer {{ name: "p{k}" type: "Power" bottom: "x" top: "y{k}" power_param {{ scale: {scale} }} }}\n'
    found = {}
    for numerics in ("exact", "native"):
        x = torch.ones(1, 1, 1, 1, requires_grad=True)
        sum(Net(text, numerics=numerics)(x=x).values()).backward()
        found[numerics] = x.grad.item()
    assert found["exact"] == 0.0


def test_libm_is_near_the_truth_and_keeps_shapes() -> None:
    x = draw(3, 4).abs() + 0.1
    for ours, theirs in (
        (libm.exp(x), x.double().exp()),
        (libm.log(x), x.double().log()),
        (libm.tanh(x), x.double().tanh()),
        (libm.power(x, -0.75), x.double() ** -0.75),
    ):
        torch.testing.assert_close(ours.double(), theirs, rtol=3e-7, atol=1e-8)


def test_only_float32_on_the_cpu() -> None:
    with pytest.raises(UnsupportedError, match="float32 on the CPU"):
        exact.softmax(draw(1, 2, 1, 1).double())
    with pytest.raises(UnsupportedError, match="3 spatial axes, the window 2"):
        exact.convolution([draw(1, 2, 3, 3, 3)], draw(1, 2, 1, 1, 1), None, WINDOWS[3], 1)
    with pytest.raises(UnsupportedError, match="CPU only"):
        Net('input: "x" input_dim: 1', numerics="exact", device="cuda")


def test_unknown_numerics_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="'fast' is not available; native and exact are"):
        Net('input: "x" input_dim: 1', numerics="fast")


def test_layers_without_an_exact_form_are_named_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1\n'
    for name, kind in (("first", "Sigmoid"), ("between", "ReLU"), ("second", "Sigmoid")):
        text += f'layer {{ name: "{name}" type: "{kind}" bottom: "x" top: "{name}" }}\n'
    assert set(Net(text, numerics="exact").outputs) == {"first", "between", "second"}
    monkeypatch.setattr(Sigmoid, "has_exact", False)
    with pytest.raises(UnsupportedError) as caught:
        Net(text, numerics="exact")
    assert "2 layer(s)" in str(caught.value)
    assert "'first' (Sigmoid)" in str(caught.value)
    assert "'second' (Sigmoid)" in str(caught.value)
    assert "'between'" not in str(caught.value)
