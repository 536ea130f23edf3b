"""A Net as a torch.export program."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro.errors import UnsupportedError
from repro.export.report import ExportReport, batched_blobs, needed_inputs, refuse, wanted_outputs
from repro.export.standalone import standard_forms
from repro.graph import Step
from repro.layers import Layer, Switches
from repro.net import Net


class _Program(nn.Module):
    """The net's layers in order: tensors in, by input; tensors out, by output."""

    def __init__(self, steps: Sequence[Step], inputs: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__()
        self.steps = [step for step in steps if not step.is_source]
        self.inputs, self.outputs = list(inputs), list(outputs)
        for k, step in enumerate(self.steps):
            self.add_module(f"layer_{k}", step.layer)

    def forward(self, *given: torch.Tensor) -> dict[str, torch.Tensor]:
        values: dict[str, Any] = dict(zip(self.inputs, given, strict=True))
        for step in self.steps:
            bottoms = [values[b] for b in step.layer.spec.bottoms]
            if not step.layer.accepts_switches:
                bottoms = [_plain(b) for b in bottoms]
            values.update(zip(step.layer.spec.tops, step.layer(*bottoms), strict=True))
        return {name: _plain(values[name]) for name in self.outputs}


def _plain(value: Any) -> Any:
    return value.mask() if isinstance(value, Switches) else value


@torch.no_grad()
def export_torch(
    net: Net, path: str | os.PathLike[str], *, blobs: Iterable[str] = (), standalone: bool = False
) -> ExportReport:
    """Write the net to `path` with `torch.export.save`.

    The program takes the inputs in order and gives a dict of output blobs; the batch may vary where no layer mixes
    items. Pooling with switches and unpooling are this project's own ops: `import repro.ops` before
    `torch.export.load`; with `standalone` they are written as torch's own, and the file needs torch alone.

    UnsupportedError names every layer that torch.export cannot follow at once; nothing is written then.
    """
    if net.spec.phase != "TEST" or net.numerics != "native":
        found = f"phase {net.spec.phase} and numerics '{net.numerics}'"
        raise UnsupportedError(f"{net.spec.source}: the net is in {found}; export takes phase TEST, numerics 'native'")
    batched, fixed_because = batched_blobs(net.graph)
    inputs, names = needed_inputs(net), wanted_outputs(net, blobs)
    program = _Program(net.graph.steps, inputs, names).eval()
    like = next(net.parameters(), torch.empty(0))
    batch = torch.export.Dim("N") if batched else None
    # a batch of 1 would be taken for a constant
    given = [_example(net.graph.inputs[name], bool(batched), like) for name in inputs]
    free = tuple(({0: batch} if batch is not None and x.dim() else None) for x in given)
    try:
        exported = torch.export.export(program, tuple(given), dynamic_shapes=(free,) if batch is not None else None)
        if standalone:
            exported = exported.run_decompositions(standard_forms())
    except Exception as error:  # torch.export fails with many types; they are told apart layer by layer
        refuse(net, "torch.export", _failing(net))
        raise UnsupportedError(f"{net.spec.source}: torch.export does not follow this net: {_first(error)}") from error
    _save(exported, Path(path))
    own = Counter(str(n.target) for n in exported.graph.nodes if n.op == "call_function")
    shapes = net.graph.shapes
    return ExportReport(
        {n: net.graph.inputs[n] for n in inputs}, {n: shapes[n] for n in names}, batched, fixed_because, own
    )


def _example(shape: Sequence[int], free: bool, like: torch.Tensor) -> torch.Tensor:
    sizes = (max(2, shape[0]), *shape[1:]) if free and shape else tuple(shape)
    return torch.zeros(sizes, dtype=like.dtype, device=like.device)


def _failing(net: Net) -> list[tuple[Layer, str]]:
    """Layers that torch.export does not follow on their own."""
    failing = []
    for step in net.graph.steps:
        if step.is_source or not step.layer.spec.tops:
            continue
        names = [f"bottom_{k}" for k in range(len(step.bottom_shapes))]
        alone = _Alone(step.layer)
        given = tuple(torch.zeros(shape) for shape in step.bottom_shapes)
        try:
            torch.export.export(alone, given)
        except Exception as error:
            failing.append((step.layer, f"{_first(error)} (bottoms {', '.join(names)})"))
    return failing


class _Alone(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *bottoms: torch.Tensor) -> list[torch.Tensor]:
        return [_plain(top) for top in self.layer(*bottoms)]


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _save(exported: Any, path: Path) -> None:
    part = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.pt2")
    try:
        torch.export.save(exported, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
