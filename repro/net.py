"""Net: a Caffe network as an nn.Module that names every blob and parameter as Caffe does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from repro import exact
from repro.caffe import Model, NetSpec
from repro.errors import DeviceError, InputError, NetError, UnsupportedError
from repro.graph import Graph, Step, as_net_spec, build_graph, infer_shapes
from repro.layers import Layer, PerChannel, Shape, Switches
from repro.layers.base import joined
from repro.loading import Arrays, LoadReport, load_weights, materialize, save_weights, share_parameters
from repro.sharing import SharedBlob, find_shared, multipliers
from repro.summary import Summary, summarize

__all__ = ["Blobs", "Net", "Summary", "summarize"]

Value = torch.Tensor | Switches
Branches = dict[str, Iterator[torch.Tensor]]
NUMERICS = ("native", "exact")


class Blobs(dict[str, torch.Tensor]):
    """Blobs of one forward pass: captured states by key ``"<place>__<layer>__<top>"`` in running order.

    A plain blob name also finds its last state, and finds inputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_name: dict[str, torch.Tensor] = {}

    def __missing__(self, name: str) -> torch.Tensor:
        if name in self.by_name:
            return self.by_name[name]
        raise KeyError(f"no blob '{name}'; there are: {', '.join(self.by_name) or 'none, run the net first'}")


class Net(nn.Module):
    """A network from a prototxt.

    prototxt: path, text, or NetSpec. weights: .caffemodel path, Model, or mapping layer name -> arrays; without them
    the fillers' values, drawn from `seed`. phase: "TEST" or "TRAIN" (also sets train()/eval()). numerics: "native"
    (float32, deterministic, no TF32) or "exact" (Caffe's own arithmetic bit for bit, forward and backward; CPU only,
    and `backward` itself adds to parameters' .grad). shapes: blob name -> shape for Input and data layers.
    allow_missing: a layer without weights in the file keeps its filler's values (default: an error). allow_python:
    Python layers may be imported by the names the prototxt gives (executes that code: only for files you trust).
    allow_reshape: blobs of another shape are taken where the number of values is the same. level, stages, dialect,
    unknown, define: as in `repro.caffe.load_net`. share: a net whose parameters, by layer name, are this one's too
    (`ShareTrainedLayersWith`). keep: blobs that are outputs though a layer reads them.

    Layers that share a parameter by `param { name }` hold the same nn.Parameter.

    ``net(data=x)`` gives {output blob: tensor}. ``net.params`` maps layer names to parameter lists in Caffe's order;
    ``state_dict`` keys are "<layer>.weight", "<layer>.bias", "<layer>.scale" ... Shapes are Caffe's N, C, H, W.
    Raises NetError, UnsupportedError, WeightsError, FormatError, InputError.
    """

    def __init__(
        self,
        prototxt: str | os.PathLike[str] | NetSpec,
        weights: str | os.PathLike[str] | Model | Arrays | None = None,
        phase: str = "TEST",
        numerics: str = "native",
        *,
        shapes: Mapping[str, Sequence[int]] | None = None,
        device: str | torch.device = "cpu",
        seed: int | None = None,
        allow_missing: bool = False,
        level: int = 0,
        stages: Sequence[str] = (),
        dialect: str | None = None,
        allow_python: bool = False,
        allow_reshape: bool = False,
        unknown: str = "keep",
        define: Mapping[str, object] | None = None,
        share: Net | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if numerics not in NUMERICS:
            raise UnsupportedError(f"numerics '{numerics}' is not available; {' and '.join(NUMERICS)} are")
        if numerics == "exact":
            _require_exact(device)
        self.numerics = numerics
        self.spec = as_net_spec(
            prototxt,
            phase=phase,
            level=level,
            stages=tuple(stages),
            dialect=dialect,
            unknown=unknown,
            define=define,
        )
        self.graph: Graph = build_graph(self.spec, shapes, numerics, allow_python=allow_python, running=True, keep=keep)
        self.caffe_layers: list[Layer] = [step.layer for step in self.graph.steps]
        for step in self.graph.steps:
            self._modules[self._module_name(step)] = step.layer
        self.shared: tuple[SharedBlob, ...] = find_shared(self.caffe_layers)
        for blob in self.shared:
            blob.layer._parameters[blob.key] = blob.owner._parameters[blob.owner_key]
        for _, _, parameter, lr_mult, _ in self.param_entries:
            parameter.requires_grad_(lr_mult != 0)
        self.load_report = LoadReport("no weights")
        if weights is not None:
            self.load_report = load_weights(self, weights, allow_missing=allow_missing, allow_reshape=allow_reshape)
        if share is not None:
            share_parameters(self, share)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        materialize(self, generator)
        self.blobs = Blobs()
        self._inferred: tuple[tuple[str, Shape], ...] = tuple(self.graph.inputs.items())
        self._loss: torch.Tensor | None = None
        self.train(self.spec.phase == "TRAIN")
        if available_device(device).type != "cpu":
            self.to(device)

    # --- names

    def _module_name(self, step: Step) -> str:
        """The layer's name where torch allows it: no dots, not taken."""
        name = step.layer.spec.name.replace(".", "_") or step.key
        return step.key.replace(".", "_") if name in self._modules else name

    @property
    def params(self) -> dict[str, list[nn.Parameter]]:
        """Layer name -> its parameters in blob order, layers in Caffe's order; layers without are left out."""
        found: dict[str, list[nn.Parameter]] = {}
        for layer in self.caffe_layers:
            if layer.blobs:
                found.setdefault(layer.spec.name, layer.blobs)
        return found

    @property
    def param_entries(self) -> list[tuple[str, int, nn.Parameter, float, float]]:
        """(layer, blob index, parameter, lr_mult, decay_mult) in Caffe's order; a shared one once, as its owner's."""
        borrowed = {(blob.layer, blob.index) for blob in self.shared}
        return [
            (layer.spec.name, index, parameter, *multipliers(layer, index, self.shared))
            for layer in self.caffe_layers
            for index, parameter in enumerate(layer.blobs)
            if (layer, index) not in borrowed
        ]

    @property
    def inputs(self) -> dict[str, Shape]:
        """Blobs the caller gives, with the shapes the prototxt says."""
        return dict(self.graph.inputs)

    @property
    def outputs(self) -> list[str]:
        """Blobs that no layer reads, in order."""
        return list(self.graph.outputs)

    # --- weights

    def load(
        self,
        weights: str | os.PathLike[str] | Model | Arrays,
        *,
        allow_missing: bool = False,
        allow_reshape: bool = False,
    ) -> LoadReport:
        """Take weights by layer name; see `repro.loading.load_weights`."""
        self.load_report = load_weights(self, weights, allow_missing=allow_missing, allow_reshape=allow_reshape)
        return self.load_report

    def save(self, path: str | os.PathLike[str], version: str | None = None) -> None:
        """Write a .caffemodel (atomically); version "V1", "V2" or "HDF5", by default by suffix and dialect."""
        save_weights(self, path, version)

    # --- running

    def forward(
        self, *, capture: bool = False, override: Mapping[str, Any] | None = None, **inputs: Any
    ) -> dict[str, torch.Tensor]:
        """Run all layers on the given blobs (tensors or arrays; converted to the net's dtype and device).

        Batch, height and width may differ from the prototxt where the layers allow it. capture: return every layer's
        tops in running order instead (a `Blobs`; in-place layers have their own keys; pooling masks as Caffe's float
        plane index). override: values put in place of a top right after its layer, by key or blob name. `net.blobs`
        and `net.loss` hold the results afterwards.
        """
        values = self._given(inputs)
        overrides = self._overrides(override)
        overwriting = not (capture or torch.is_grad_enabled())
        splitting = self.numerics == "exact" and torch.is_grad_enabled()
        fusing = overwriting and not overrides
        done: set[str] = set()
        branches: Branches = {}
        if self.spec.force_backward and torch.is_grad_enabled():
            values = {name: _with_gradient(value) for name, value in values.items()}
        blobs = Blobs()
        blobs.by_name.update(values)  # type: ignore[arg-type]
        loss: torch.Tensor | None = None
        with native_numerics(next((v.device for v in values.values() if isinstance(v, torch.Tensor)), None)):
            for step in self.graph.steps:
                layer = step.layer
                if step.is_source:
                    self._require_given(step, values)
                elif step.key in done or (fusing and _run_into_next(step, values, done)):
                    pass
                else:
                    tops = _run_with_following(step, values, done) if fusing else None
                    if tops is None:
                        tops = _run(step, values, branches, overwriting)
                    for name, value in zip(layer.spec.tops, tops, strict=True):
                        key = f"{step.key}__{name}"
                        values[name] = overrides.get(key, value)
                        if capture:
                            blobs[key] = blobs.by_name[name] = _plain(values[name])
                    loss = _add_loss(loss, layer, values)
                if splitting:
                    _split_tops(step, values, branches)
                if not capture:
                    for name in step.last_use:
                        values.pop(name, None)
        self._loss = loss
        outputs = {name: _plain(values[name]) for name in self.graph.outputs}
        blobs.by_name.update(outputs)
        self.blobs = blobs
        return blobs if capture else outputs

    @property
    def loss(self) -> torch.Tensor:
        """Sum of loss_weight * top over the loss layers of the last forward pass, with its graph."""
        if self._loss is None:
            raise NetError(f"{self.spec.source}: no loss: the net has no loss layer, or has not run")
        return self._loss

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Value]:
        """Inputs as tensors of the net's dtype and device, checked against what the layers can take."""
        like = next(self.parameters(), torch.empty(0))
        values: dict[str, Value] = {}
        for name, given in inputs.items():
            if name not in self.graph.inputs:
                raise InputError(f"{self.spec.source}: no input '{name}'; the net's inputs: {list(self.graph.inputs)}")
            tensor = given if isinstance(given, torch.Tensor) else torch.as_tensor(np.ascontiguousarray(given))
            if tensor.is_complex():
                raise InputError(f"input '{name}' has dtype {tensor.dtype}; expected real numbers")
            if tensor.numel() == 0:
                raise InputError(f"input '{name}' is empty, shape {tuple(tensor.shape)}")
            expected = self.graph.inputs[name]
            if tensor.dim() != len(expected) or (len(expected) > 1 and tensor.shape[1] != expected[1]):
                raise InputError(f"input '{name}' has shape {tuple(tensor.shape)}; the net expects {expected}")
            values[name] = tensor.to(like.device, like.dtype)
        shapes = {**self.graph.inputs, **{n: tuple(v.shape) for n, v in values.items()}}  # type: ignore[union-attr]
        if tuple(shapes.items()) != self._inferred:
            infer_shapes(self.graph, shapes)
            self._inferred = tuple(shapes.items())
        return values

    def _require_given(self, step: Step, values: Mapping[str, Value]) -> None:
        for name in step.layer.spec.tops:
            if name not in values and name in self.graph.needed_inputs:
                reader = self.graph.needed_inputs[name]
                raise InputError(
                    f"blob '{name}' of {step.layer.describe()} was not given and layer '{reader.spec.name}' reads it; "
                    f"call net(**{{'{name}': tensor of shape {self.graph.inputs[name]}}})"
                )

    def _overrides(self, override: Mapping[str, Any] | None) -> dict[str, torch.Tensor]:
        """By key; a plain blob name means the last layer that writes it."""
        if not override:
            return {}
        like = next(self.parameters(), torch.empty(0))
        last = {top: f"{s.key}__{top}" for s in self.graph.steps for top in s.layer.spec.tops}
        keys = {f"{s.key}__{top}" for s in self.graph.steps for top in s.layer.spec.tops}
        found = {}
        for name, value in override.items():
            key = name if name in keys else last.get(name)
            if key is None:
                raise InputError(f"override of '{name}': no layer makes that blob; there are: {', '.join(last)}")
            found[key] = torch.as_tensor(value).to(like.device)
        return found


def _run(step: Step, values: Mapping[str, Value], branches: Branches, overwriting: bool) -> tuple[Value, ...]:
    layer = step.layer
    bottoms = [next(branches[name]) if name in branches else values[name] for name in layer.spec.bottoms]
    if not layer.accepts_switches:
        bottoms = [_plain(b) for b in bottoms]
    if torch.is_grad_enabled() and not all(layer.spec.propagate_down):
        bottoms = [
            b.detach() if isinstance(b, torch.Tensor) and not flows else b
            for b, flows in zip(bottoms, layer.spec.propagate_down, strict=True)
        ]
    if step.overwrites and overwriting:
        result = layer.overwrite(bottoms[0])  # type: ignore[arg-type]
        if result is not None:
            return (result,)
    return layer(*bottoms)


def _run_with_following(step: Step, values: Mapping[str, Value], done: set[str]) -> tuple[Value, ...] | None:
    """Run a layer that also does what in-place layers after it do, and add those to `done`; None where it cannot."""
    following: list[PerChannel] = []
    for later in step.following:
        one = later.layer.per_channel()
        if one is None:
            break
        following.append(one)
    if not following or not all(isinstance(values[name], torch.Tensor) for name in step.layer.spec.bottoms):
        return None
    found = step.layer.forward_with(values[step.layer.spec.bottoms[0]], following)  # type: ignore[arg-type]
    if found is None:
        return None
    top, count = found
    done.update(later.key for later in step.following[:count])
    return (top,)


def _run_into_next(step: Step, values: dict[str, Value], done: set[str]) -> bool:
    """Whether the layer that alone reads what in-place layers make did their work as it read, leaving their blob be."""
    parts = [one.layer.per_channel() for one in (step, *step.following)] if step.into else []
    x = values[step.layer.spec.bottoms[0]]
    if step.into is None or not isinstance(x, torch.Tensor) or any(part is None for part in parts):
        return False
    first, count = joined([part for part in parts if part is not None])
    tops = step.into.layer.forward_after(x, first) if count == len(parts) else None
    if tops is None:
        return False
    values.update(zip(step.into.layer.spec.tops, tops, strict=True))
    done.update(one.key for one in (*step.following, step.into))
    return True


def _split_tops(step: Step, values: Mapping[str, Value], branches: Branches) -> None:
    """Give each reader of a top its own branch: their gradients are then added in Caffe's order (its Split)."""
    for name in step.layer.spec.tops:
        branches.pop(name, None)
        value, readers = values.get(name), step.readers.get(name, 0)
        if readers > 1 and isinstance(value, torch.Tensor) and value.requires_grad:
            branches[name] = iter(exact.split(value, readers))


def _require_exact(device: str | torch.device) -> None:
    """UnsupportedError where Caffe's arithmetic cannot be had: another device than the CPU, another BLAS."""
    if torch.device(device).type != "cpu":
        raise UnsupportedError(f"numerics 'exact' runs on the CPU only, device '{device}' was asked for")
    exact.blas_info()


def _with_gradient(value: Value) -> Value:
    """An input whose gradient the net's ``force_backward`` asks for; the caller's own tensor stays as it is."""
    if isinstance(value, Switches) or value.requires_grad or not value.is_floating_point():
        return value
    return value.detach().requires_grad_()


def _plain(value: Value) -> torch.Tensor:
    return value.mask() if isinstance(value, Switches) else value


def _add_loss(loss: torch.Tensor | None, layer: Layer, values: Mapping[str, Value]) -> torch.Tensor | None:
    defaults = [layer.default_loss_weight, *[0.0] * len(layer.spec.tops)]
    for weight, name in zip(layer.spec.loss_weights or defaults, layer.spec.tops, strict=False):
        if weight:
            term = weight * _plain(values[name]).sum()
            loss = term if loss is None else loss + term
    return loss


@contextlib.contextmanager
def native_numerics(device: torch.device | None) -> Iterator[None]:
    """On CUDA: deterministic cuDNN algorithms and no TF32; on a CPU there is nothing to switch."""
    if device is None or device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def available_device(device: str | torch.device) -> torch.device:
    """A device that nets run on, cpu or cuda; DeviceError for another and for one this machine lacks."""
    wanted: torch.device | None = None
    with contextlib.suppress(RuntimeError, TypeError):
        wanted = torch.device(device)
    if wanted is None or wanted.type not in ("cpu", "cuda"):
        raise DeviceError(f"device '{device}': expected cpu, cuda or cuda:N")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"device '{device}' asked for, but torch {torch.__version__} sees no CUDA device; use --device cpu"
        )
    if wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device '{device}' asked for, but torch sees {torch.cuda.device_count()} CUDA device(s)")
    return wanted
