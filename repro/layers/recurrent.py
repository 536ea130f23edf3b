"""Recurrent layers: RNN and LSTM, unrolled over time.

Source: `recurrent_layer.cpp`, `rnn_layer.cpp`, `lstm_layer.cpp`, `lstm_unit_layer.cpp` of BVLC Caffe 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from repro.layers.alignment import Affine
from repro.layers.base import Layer, Shape, filler_of
from repro.layers.later import F, torch
from repro.layers.registry import register


class _Recurrent(Layer):
    """Bottoms: x (T, N, ...), cont (T, N), which is 0 where a sequence begins, and perhaps a static input (N, ...).

    With `expose_hidden` the state before the first step comes in as the last bottoms and that after the last goes out
    as the last tops, (1, N, num_output) each; else it stays in the layer from one pass to the next.
    """

    bottoms = (2, 5)
    tops = (1, 3)
    states = 1

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("recurrent_param")
        self.size = int(options.num_output)
        if self.size < 1:
            self.fail(f"num_output is {self.size}, must be at least 1")
        self.exposed = bool(options.expose_hidden)
        extra = self.states if self.exposed else 0
        self.has_static = len(bottom_shapes) == 3 + extra
        if len(bottom_shapes) not in (2 + extra, 3 + extra) or len(self.spec.tops) != 1 + extra:
            self.fail(
                f"has {len(bottom_shapes)} bottoms and {len(self.spec.tops)} tops; takes x, cont, perhaps a static "
                f"input and {extra} states, and gives {1 + extra} tops"
            )
        self.inputs = self._check(bottom_shapes)
        self.fillers = filler_of(options, "weight_filler"), filler_of(options, "bias_filler")
        self.state: tuple[torch.Tensor, ...] | None = None
        self.blobs_for(math.prod(bottom_shapes[2][1:]) if self.has_static else 0)

    def blobs_for(self, static: int) -> None:
        raise NotImplementedError

    def _check(self, bottom_shapes: Sequence[Shape]) -> int:
        x, cont = bottom_shapes[:2]
        if len(x) < 3 or cont != x[:2]:
            self.fail(f"x has shape {x} and cont {cont}; expected (T, N, ...) and (T, N)")
        for shape in bottom_shapes[3 if self.has_static else 2 :]:
            if shape != (1, x[1], self.size):
                self.fail(f"a state has shape {shape}, expected {(1, x[1], self.size)}")
        if self.has_static and bottom_shapes[2][0] != x[1]:
            self.fail(f"the static input has shape {bottom_shapes[2]}, expected ({x[1]}, ...)")
        return math.prod(x[2:])

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        if self._check(bottom_shapes) != self.inputs:
            self.fail(f"x has shape {bottom_shapes[0]}, the weights are for {self.inputs} inputs")
        steps, items = bottom_shapes[0][:2]
        return [(steps, items, self.size), *[(1, items, self.size)] * (len(self.spec.tops) - 1)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def before(self, bottoms: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """The state before the first step, (N, num_output) each."""
        x = bottoms[0]
        if self.exposed:
            return tuple(b[0] for b in bottoms[-self.states :])
        if self.state is None or self.state[0].shape[0] != x.shape[1]:
            return (x.new_zeros(x.shape[1], self.size),) * self.states
        return tuple(s.to(x) for s in self.state)

    def after(self, outputs: list[torch.Tensor], state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        self.state = tuple(s.detach() for s in state)
        return (torch.stack(outputs), *(s[None] for s in state if self.exposed))


@register("RNN")
class RNN(_Recurrent):
    """h = tanh(W_hh cont h + W_xh x + b_h), o = tanh(W_ho h + b_o).

    Blobs: W_xh, b_h, W_xh of the static input if there is one, W_hh, W_ho, b_o.
    """

    def blobs_for(self, static: int) -> None:
        weight, bias = self.fillers
        self.add_blob("input", (self.size, self.inputs), weight)
        self.add_blob("bias", (self.size,), bias)
        if static:
            self.add_blob("static", (self.size, static), weight)
        self.add_blob("hidden", (self.size, self.size), weight)
        self.add_blob("output", (self.size, self.size), weight)
        self.add_blob("output_bias", (self.size,), bias)

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        return math.prod(bottom_shapes[1]) * self.size * (self.inputs + 2 * self.size)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, cont = bottoms[:2]
        gates = F.linear(x.flatten(2), self.input, self.bias)  # type: ignore[arg-type]
        if self.has_static:
            gates = gates + F.linear(bottoms[2].flatten(1), self.static)  # type: ignore[arg-type]
        (h,) = self.before(bottoms)
        outputs = []
        for gate, go_on in zip(gates, cont.detach(), strict=True):
            h = torch.tanh(F.linear(go_on[:, None] * h, self.hidden) + gate)  # type: ignore[arg-type]
            outputs.append(torch.tanh(F.linear(h, self.output, self.output_bias)))  # type: ignore[arg-type]
        return self.after(outputs, (h,))


@register("LSTM")
class LSTM(_Recurrent):
    """Gates i, f, o (sigmoid) and g (tanh) of W_hc cont h + W_xc x + b_c; c = cont f c + i g; h = o tanh(c).

    Blobs: W_xc, b_c, W_xc of the static input if there is one, W_hc; rows i, f, o, g.
    """

    states = 2

    def blobs_for(self, static: int) -> None:
        weight, bias = self.fillers
        self.add_blob("input", (4 * self.size, self.inputs), weight)
        self.add_blob("bias", (4 * self.size,), bias)
        if static:
            self.add_blob("static", (4 * self.size, static), weight)
        self.add_blob("hidden", (4 * self.size, self.size), weight)

    def macs(self, bottom_shapes: Sequence[Shape]) -> int:
        return math.prod(bottom_shapes[1]) * 4 * self.size * (self.inputs + self.size)

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, cont = bottoms[:2]
        gates = F.linear(x.flatten(2), self.input, self.bias)  # type: ignore[arg-type]
        if self.has_static:
            gates = gates + F.linear(bottoms[2].flatten(1), self.static)  # type: ignore[arg-type]
        h, c = self.before(bottoms)
        outputs = []
        for gate, go_on in zip(gates, cont.detach()[:, :, None], strict=True):
            i, f, o, g = (F.linear(go_on * h, self.hidden) + gate).chunk(4, 1)  # type: ignore[arg-type]
            c = go_on * torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return self.after(outputs, (h, c))


@register("ContinuationIndicator")
class ContinuationIndicator(Layer):
    """What a recurrent layer takes as cont for one sequence per item: (T, N), 0 in the first step and 1 after it.

    Source: `continuation_indicator_layer.cpp` of Intel's Caffe.
    """

    has_exact = True
    bottoms = (0, 1)

    def setup(self, bottom_shapes: list[Shape]) -> None:
        options = self.options("continuation_indicator_param")
        self.steps, self.items = int(options.time_step), int(options.batch_size)

    def infer(self, bottom_shapes: list[Shape]) -> list[Shape]:
        return [bottom_shapes[0][:2] if bottom_shapes else (self.steps, self.items)]

    def coordinate_map(self) -> tuple[Affine, Affine] | None:
        return None

    def forward(self, *bottoms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cont = torch.ones(self.top_shapes[0])
        cont[0] = 0
        return (cont,)
