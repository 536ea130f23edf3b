"""One description of an op for everything torch asks of it: autograd, torch.func, forward mode, vmap.

torch's own ``register_autograd`` serves plain autograd, ``torch.compile`` and ``torch.export``; torch.func and forward
mode need an ``autograd.Function`` that keeps its context apart, which is made here of the same parts. The faces choose
(``call``), so it is they, not the bare ``torch.ops.repro``, that torch.func can be used on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

from repro.errors import UnsupportedError
from repro.ops import _library

# (context, inputs, output) -> the tensors `backward` and `jvp` will ask the context for
Save = Callable[[Any, tuple[Any, ...], Any], tuple[torch.Tensor, ...]]
Rule = Callable[[Any, tuple[Any, ...], Any], tuple[Any, Any]]

_functions: dict[Any, type[torch.autograd.Function]] = {}


def call(op: Any, *arguments: Any) -> Any:
    """Call an op from its face or from another op's derivative, by whatever way the transforms in force need."""
    if torch.compiler.is_compiling():
        return op(*arguments)
    function = _functions.get(op)
    if function is None:
        return _library.call(op, *arguments)
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return _library.call(op, *arguments, way=function.apply)
    if torch.is_grad_enabled() and any(isinstance(a, torch.Tensor) and a.requires_grad for a in arguments):
        return _library.call(op, *arguments)
    # straight to the kernel: torch's generated autograd node costs more than a small pool
    with torch._C._AutoDispatchBelowAutograd():
        return _library.call(op, *arguments)


def fold_into_batch(op: Any, tensors: int) -> Callable[..., tuple[Any, Any]]:
    """The vmap rule of an op whose first `tensors` arguments are (N, C, H, W): the mapped dimension joins the batch."""

    def rule(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        size = info.batch_size
        mapped = [leading(arg, dim, size) for arg, dim in zip(args[:tensors], in_dims, strict=False)]
        out = call(op, *(tensor.flatten(0, 1) for tensor in mapped), *args[tensors:])
        batch = (size, mapped[0].shape[1])
        if isinstance(out, torch.Tensor):
            return out.unflatten(0, batch), 0
        return tuple(each.unflatten(0, batch) for each in out), (0,) * len(out)

    return rule


def leading(tensor: torch.Tensor, dim: int | None, size: int) -> torch.Tensor:
    """The tensor with its mapped dimension in front; expanded where it has none."""
    return tensor.unsqueeze(0).expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def batches(name: str, rule: Callable[..., tuple[Any, Any]] | int) -> Callable[..., tuple[Any, Any]]:
    """Give op `name` its vmap rule, or `fold_into_batch` for that many tensors."""
    if isinstance(rule, int):
        rule = fold_into_batch(_op(name), rule)
    torch.library.register_vmap(f"repro::{name}", rule)
    return rule


def differentiates(
    name: str,
    rule: Callable[..., tuple[Any, Any]] | int,
    save: Save,
    backward: Callable[..., tuple[Any, ...]],
    jvp: Callable[..., Any],
) -> None:
    """Give op `name` its vmap rule and its derivatives.

    `backward(ctx, *gradients)` returns one gradient per input, `jvp(ctx, *tangents)` one tangent per output; both call
    other ops by `call`. `jvp` sees None where an input has no tangent.
    """
    op = _op(name)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        kept = save(ctx, inputs, output)
        ctx.save_for_backward(*kept)

    def setup_both(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        outputs = output if isinstance(output, tuple) else (output,)
        ctx.mark_non_differentiable(*(t for t in outputs if not t.is_floating_point()))
        ctx.set_materialize_grads(False)
        kept = save(ctx, inputs, output)
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)

    def of_zero(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        # unmaterialised: switches have no gradient, and neither has an output nobody used
        return (None,) * len(ctx.needs_input_grad) if gradients[0] is None else backward(ctx, *gradients)

    batching = batches(name, rule)
    torch.library.register_autograd(f"repro::{name}", backward, setup_context=setup_context)
    _functions[op] = type(
        f"{name}_",
        (torch.autograd.Function,),
        {
            "forward": staticmethod(lambda *arguments: op(*arguments)),
            "setup_context": staticmethod(setup_both),
            "backward": staticmethod(of_zero),
            "jvp": staticmethod(jvp),
            "vmap": staticmethod(batching),
        },
    )


def refusal(message: str) -> Callable[..., Any]:
    """A derivative that is refused by name."""

    def refuse(ctx: Any, *_: Any) -> Any:
        raise UnsupportedError(message)

    return refuse


def _op(name: str) -> Any:
    return getattr(torch.ops.repro, name).default
