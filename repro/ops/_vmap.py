"""vmap over the pooling ops: the mapped dimension joins the batch, so one call does all of it."""

from __future__ import annotations

from typing import Any

import torch

from repro.ops import _library  # noqa: F401  (opening it registers the ops)


def _register(name: str, tensors: int) -> None:
    """Give `name`, whose first `tensors` arguments are (N, C, H, W) tensors, a batching rule."""
    op = getattr(torch.ops.repro, name).default

    def rule(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:
        size = info.batch_size
        mapped = (
            arg.unsqueeze(0).expand(size, *arg.shape) if dim is None else arg.movedim(dim, 0)
            for arg, dim in zip(args[:tensors], in_dims, strict=False)
        )
        out = op(*(tensor.flatten(0, 1) for tensor in mapped), *args[tensors:])
        first = out if isinstance(out, torch.Tensor) else out[0]
        batch = (size, first.shape[0] // size)
        if isinstance(out, torch.Tensor):
            return out.unflatten(0, batch), 0
        return tuple(each.unflatten(0, batch) for each in out), (0,) * len(out)

    torch.library.register_vmap(f"repro::{name}", rule)


_register("max_pool_switches", 1)
_register("max_pool_switches_backward", 2)
_register("max_unpool_switches", 2)
_register("max_unpool_switches_backward", 2)
