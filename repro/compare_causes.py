"""Why a net's blobs may differ from a reference: the usual suspects, each tried before it is named.

A cause is reported only where acting on it makes the first diverging blob agree, or where the shapes prove it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from repro.compare import Comparison, Difference, Limit, difference_rows, match, with_stored_inputs
from repro.errors import ReproError
from repro.exact import blas_threads

if TYPE_CHECKING:
    from repro.net import Net

# BGR means of the segmentation nets and of Caffe's ImageNet models
MEANS = ((104.00699, 116.66877, 122.67892), (104.008, 116.669, 122.675), (103.939, 116.779, 123.68), (104, 117, 123))
_THREADS = (1, 2, 4)
_EPS = (1e-5, 1e-9, 1e-10, 1e-3, 1e-2, 0.0)
# what float32 leaves of an input that is moved and moved back
_ROUNDING = 1e-4

Inputs = dict[str, np.ndarray]


def find_causes(
    net: Net,
    inputs: Mapping[str, object],
    reference: Mapping[str, np.ndarray],
    comparison: Comparison,
    limit: Limit,
    other_phase: Callable[[], Net] | None = None,
) -> tuple[str, ...]:
    """Sentences, the most telling first; empty where nothing explains it.

    other_phase: makes the same net in the other phase, with its weights.
    """
    first = comparison.first
    if first is None:
        return ()
    given = {k: np.asarray(v, np.float32) for k, v in with_stored_inputs(net, inputs, reference).items()}
    if first.shape is not None:
        return tuple(_shape_causes(net, first))
    meetings, _ = match(net, {first.key: reference[first.key]})

    def gap(tried: Net, changed: Inputs) -> float:
        """The relative difference that is left; infinite where it is no agreement."""
        try:
            with torch.no_grad():
                blobs = tried(capture=True, **changed)
        except ReproError:
            return math.inf
        (row,) = difference_rows(tried, blobs, reference, meetings) or (first,)
        if not row.beyond(limit):
            return row.relative
        # beside a stored float32 sum a moved mean leaves rounding behind
        near = row.shape is None and row.relative <= _ROUNDING and row.switches in (None, 0)
        return row.relative if near else math.inf

    trials = [(gap(net, changed), text) for text, changed in _input_trials(given)]
    found = [text for left, text in [min(trials)] if left < math.inf] if trials else []
    if not found and net.numerics == "exact":
        found += [
            f"the reference was made with {n} BLAS thread(s)" for n in _THREADS if _gap_with(gap, net, given, n) == 0
        ]
    if not found and other_phase is not None:
        other = other_phase()
        if gap(other, given) < math.inf:
            found.append(f"the reference was made in phase {other.spec.phase}, this is {net.spec.phase}")
    found += _weight_causes(net, first)
    found += _eps_causes(net, given, first, gap)
    return tuple(found) or tuple(_fit(net, given, reference, first, meetings))


def _gap_with(gap: Callable[[Net, Inputs], float], net: Net, given: Inputs, count: int) -> float:
    with blas_threads(count):
        return gap(net, given)


def _input_trials(given: Inputs) -> Iterator[tuple[str, Inputs]]:
    for name, x in given.items():
        if x.ndim != 4:
            continue
        if x.shape[1] == 3:
            yield f"input '{name}' has its colour channels in the other order (BGR, RGB)", {**given, name: x[:, ::-1]}
        yield f"input '{name}' has height and width exchanged", {**given, name: x.swapaxes(2, 3)}
        for factor, text in ((255.0, "scaled to 0..1 (times 255 agrees)"), (1 / 255, "in 0..255 (over 255 agrees)")):
            yield f"input '{name}' is {text}", {**given, name: np.float32(factor) * x}
        if x.shape[1] != 3:
            continue
        for mean in MEANS:
            for order, values in (("BGR", mean), ("RGB", mean[::-1])):
                for sign, text in ((-1, "is not subtracted from"), (1, "is subtracted once too often from")):
                    shift = np.float32(sign) * np.asarray(values, np.float32).reshape(1, 3, 1, 1)
                    yield f"the {order} mean {values} {text} input '{name}'", {**given, name: x + shift}


def _shape_causes(net: Net, first: Difference) -> Iterator[str]:
    assert first.shape is not None
    assert first.expected_shape is not None
    gaps = [b - a for a, b in zip(first.shape[2:], first.expected_shape[2:], strict=False)]
    if first.type == "Pooling" and gaps and all(abs(g) <= 1 for g in gaps):
        rounding = "down (round_mode: FLOOR)" if min(gaps) < 0 else "up (Caffe's default)"
        yield f"layer '{first.layer}': the reference rounds pooling sizes {rounding}"
    elif len(gaps) == 2 and first.shape[2:] == tuple(reversed(first.expected_shape[2:])):
        yield f"layer '{first.layer}': height and width are exchanged"
    elif first.shape[:1] != first.expected_shape[:1] and first.shape[1:] == first.expected_shape[1:]:
        yield f"the reference holds {first.expected_shape[0]} items, the net was run on {first.shape[0]}"
    else:
        yield f"layer '{first.layer}' has shape {first.shape} here and {first.expected_shape} in the reference"


def _weight_causes(net: Net, first: Difference) -> Iterator[str]:
    if first.layer in net.load_report.missing:
        yield f"layer '{first.layer}' got no weights from {net.load_report.source}; it has its filler's values"
    if first.layer in net.load_report.reshaped:
        yield f"the weights of layer '{first.layer}' were given another shape on loading"


def _eps_causes(net: Net, given: Inputs, first: Difference, gap: Callable[[Net, Inputs], float]) -> Iterator[str]:
    """A normalisation's eps, which forks and converters change."""
    for layer in net.caffe_layers:
        own = getattr(layer, "eps", None)
        if layer.spec.name != first.layer or not isinstance(own, float):
            continue
        for eps in _EPS:
            layer.eps = eps  # type: ignore[assignment]
            if eps != own and gap(net, given) < math.inf:
                yield f"layer '{first.layer}': the reference has eps {eps:g}, this {own:g}"
                break
        layer.eps = own  # type: ignore[assignment]


def _fit(
    net: Net, given: Inputs, reference: Mapping[str, np.ndarray], first: Difference, meetings: Mapping[str, str]
) -> Iterator[str]:
    """Whether the reference is a straight line of what was found."""
    with torch.no_grad():
        found = net(capture=True, **given)[meetings[first.key]].cpu().numpy().astype(np.float64).ravel()
    expected = reference[first.key].astype(np.float64).ravel()
    if found.size < 8 or not (np.isfinite(found).all() and np.isfinite(expected).all()) or found.std() == 0:
        return
    slope, shift = np.polyfit(found, expected, 1)
    rest = np.abs(slope * found + shift - expected).max()
    if rest <= 1e-4 * (np.abs(expected).max() or 1.0):
        yield f"layer '{first.layer}': the reference is {slope:.6g} times what was found, plus {shift:.6g}"
