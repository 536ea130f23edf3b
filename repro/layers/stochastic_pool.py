"""STOCHASTIC pooling of values that are 0 or more. Source: `pooling_layer.cu` of BVLC Caffe (it has no CPU form)."""

from __future__ import annotations

from repro.layers.later import F, torch

Pair = tuple[int, int]


def _filled(x: torch.Tensor, kernel: Pair, stride: Pair, out: Pair) -> torch.Tensor:
    """x with zeros below and to the right, far enough for the last window."""
    missing = [max(0, (o - 1) * t + k - s) for o, t, k, s in zip(out, stride, kernel, x.shape[2:], strict=True)]
    return F.pad(x, (0, missing[1], 0, missing[0]))


def expected_pool(x: torch.Tensor, kernel: Pair, stride: Pair, out: Pair) -> torch.Tensor:
    """Sum of squares over sum of each window of x (N, C, H, W) -> (N, C, *out); 0 where all are 0."""
    x = _filled(x, kernel, stride, out)
    total = F.avg_pool2d(x, kernel, stride, divisor_override=1)[:, :, : out[0], : out[1]]
    square = F.avg_pool2d(x.square(), kernel, stride, divisor_override=1)[:, :, : out[0], : out[1]]
    return square / (total + torch.finfo(x.dtype).tiny)


def sampled_pool(x: torch.Tensor, kernel: Pair, stride: Pair, out: Pair) -> torch.Tensor:
    """One value of each window, drawn from torch's random stream with probability value / sum of the window."""
    n, c = x.shape[:2]
    columns = F.unfold(_filled(x, kernel, stride, out), kernel, stride=stride).view(n, c, kernel[0] * kernel[1], -1)
    reached = columns.detach().cumsum(2)
    total = reached[:, :, -1:]
    wanted = torch.rand_like(total) * total
    index = (reached < wanted).sum(2, keepdim=True).clamp(max=columns.shape[2] - 1)
    places = columns.gather(2, index).squeeze(2)
    wide = (x.shape[3] + max(0, (out[1] - 1) * stride[1] + kernel[1] - x.shape[3]) - kernel[1]) // stride[1] + 1
    return places.view(n, c, -1, wide)[:, :, : out[0], : out[1]]
