"""Batch statistics averaged over many batches and folded into scale and shift: the last step of training with BN.

In training every BN layer normalises with the mean and variance of its batch, so a trained net has no fixed function.
DeconvNet's release runs the trained net on 1 + 500 batches, averages each layer's batch mean and variance, and writes
weights whose BN layers (bn_mode INFERENCE) only scale and shift; SegNet's does the same with the batches of one pass
over its training set. Source: training/003_make_bn_layer_testable of HyeonwooNoh/DeconvNet, and
Scripts/compute_bn_statistics.py of alexgkendall/SegNet-Tutorial, which computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repro.caffe import LayerSpec, NetSpec, load_net
from repro.data.feeds import Feed, file_shapes, open_feeds
from repro.errors import InputError, NetError, TrainingError
from repro.net import Net

Float32Array = NDArray[np.float32]

# bn_layer.cpp and the release's script agree on it
VAR_EPS = 1e-9
ITERATIONS = 501


@dataclass(frozen=True)
class BatchStatistics:
    """Averages over batches of one BN layer: ``mean``, ``var`` (C,) float32, and ``count``, the values per channel
    that each batch's statistics were taken over."""

    mean: Float32Array
    var: Float32Array
    count: int


def with_statistics(spec: NetSpec) -> NetSpec:
    """The net with its BN layers' batch mean and variance as tops ("NAME-mean", "NAME-var") wherever it lacks them."""
    layers = tuple(
        replace(layer, tops=(*layer.tops, f"{layer.name}-mean", f"{layer.name}-var"))
        if layer.type == "BN" and len(layer.tops) == 1
        else layer
        for layer in spec.layers
    )
    return replace(spec, layers=layers)


def statistics_layers(layers: Sequence[LayerSpec]) -> list[LayerSpec]:
    """The BN layers whose second and third tops are the batch mean and variance; NetError if a BN layer lacks them."""
    found = [layer for layer in layers if layer.type == "BN"]
    if not found:
        raise NetError("the net has no BN layer whose statistics could be averaged")
    for layer in found:
        if len(layer.tops) != 3 or layer.options("bn_param").bn_mode != "LEARN":
            raise NetError(
                f"{layer.where}: BN layer '{layer.name}' must be in LEARN mode with its batch mean and variance as "
                f"second and third top; it has {len(layer.tops)} top(s), mode {layer.options('bn_param').bn_mode}"
            )
    return found


@torch.no_grad()
def average_statistics(
    net: Net, feeds: Sequence[Feed], iterations: int = ITERATIONS, step: Callable[[], None] = lambda: None
) -> dict[str, BatchStatistics]:
    """Run the net on ``iterations`` batches; layer name -> averaged statistics.

    Sums and their division are in float32, as in the release's script. The net is one whose BN layers have the
    statistics as tops (make_bn_testable). TrainingError if a statistic is not finite.
    """
    if iterations < 1:
        raise InputError(f"statistics of {iterations} batches: at least 1 is needed")
    layers = statistics_layers(net.spec.layers)
    read_nowhere = {top for layer in layers for top in layer.tops[1:]} <= set(net.outputs)
    sums: dict[str, Float32Array] = {}
    counts: dict[str, int] = {}
    for iteration in range(iterations):
        batch: dict[str, torch.Tensor] = {}
        for feed in feeds:
            batch.update(feed.next())
        # the first batch also tells how many values each statistic was taken over
        blobs = net(capture=not (counts and read_nowhere), **batch)
        for layer in layers:
            for top in layer.tops[1:]:
                value = blobs[top].detach().cpu().numpy().reshape(-1).astype(np.float32)
                if not np.isfinite(value).all():
                    raise TrainingError(f"batch {iteration}: '{top}' of layer '{layer.name}' is not finite")
                sums[top] = value.copy() if iteration == 0 else sums[top] + value
            if iteration == 0:
                counts[layer.name] = blobs[layer.tops[0]].numel() // sums[layer.tops[1]].size
        step()
    for value in sums.values():
        value /= iterations
    return {n.name: BatchStatistics(sums[n.tops[1]], sums[n.tops[2]], counts[n.name]) for n in layers}


def fold(
    scale: Float32Array, shift: Float32Array, statistics: BatchStatistics, *, bessel: bool = False
) -> tuple[Float32Array, Float32Array]:
    """Scale and shift of the INFERENCE layer that does what LEARN does with these statistics, (C,) float32 each.

    ``bessel`` multiplies the variance by m / (m - 1), as the script says; as it runs (Python 2 divides integers) the
    factor is 1 for every m above 2, so that the published weights have none: the default.
    """
    variance = statistics.var
    count = statistics.count
    if bessel:
        if count < 2:
            raise InputError("the bias of a variance over one value cannot be corrected; leave bessel out")
        variance = variance * np.float32(count / (count - 1))
    elif count == 2:
        variance = variance * np.float32(2)  # the one m for which whole numbers give a factor: 2 // 1
    if (variance < 0).any():
        raise TrainingError(f"an averaged variance is negative ({variance.min():g}); float32 cancellation in BN")
    deviation = np.sqrt(variance + np.float32(VAR_EPS))
    return scale / deviation, shift - scale * statistics.mean / deviation


def fold_into(net: Net, statistics: Mapping[str, BatchStatistics], *, bessel: bool = False) -> None:
    """Replace the scale and shift of every named BN layer of ``net``."""
    params = net.params
    for name, averaged in statistics.items():
        scale, shift = params[name]
        old_scale, old_shift = (p.detach().cpu().numpy().reshape(-1) for p in (scale, shift))
        folded = fold(old_scale, old_shift, averaged, bessel=bessel)
        for parameter, array in zip((scale, shift), folded, strict=True):
            parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(array)).reshape(parameter.shape))


def averaged_net(
    prototxt: str | Path | NetSpec,
    weights: str | Path,
    *,
    iterations: int = ITERATIONS,
    data_root: Path | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    workers: int = 2,
    step: Callable[[], None] = lambda: None,
) -> tuple[Net, dict[str, BatchStatistics]]:
    """The net (a file's in phase TEST) with its trained ``weights``, and its BN layers' averaged statistics.

    It may be the training net itself: statistics become tops of its BN layers where they are none. ``seed`` orders the
    batches; ``data_root`` as in `open_feed`.
    """
    given = prototxt if isinstance(prototxt, NetSpec) else load_net(prototxt, phase="TEST")
    spec = with_statistics(given)
    statistics_layers(spec.layers)
    net = Net(spec, weights, shapes=file_shapes(spec, data_root), device=device)
    feeds = open_feeds(spec, seed, root=data_root, workers=workers)
    if not feeds:
        raise InputError(f"{spec.source}: no data layer to take batches from")
    try:
        return net, average_statistics(net, feeds, iterations, step)
    finally:
        for feed in feeds:
            feed.close()


def make_testable(
    prototxt: str | Path | NetSpec, weights: str | Path, out: str | Path, *, bessel: bool = False, **averaging: Any
) -> dict[str, BatchStatistics]:
    """The whole step: `averaged_net` (which takes ``averaging``) with its statistics folded in, written to ``out``.

    Returns the averaged statistics.
    """
    # before minutes are spent on what could then not be written
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    net, averaged = averaged_net(prototxt, weights, **averaging)
    fold_into(net, averaged, bessel=bessel)
    net.save(out)
    return averaged
