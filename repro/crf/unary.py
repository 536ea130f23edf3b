"""Unary energies, -log p, from probabilities or from hard labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from repro.errors import InputError


def unary_from_probabilities(probabilities: Tensor, *, floor: float | None = None) -> Tensor:
    """-log of probabilities C×H×W or B×C×H×W, float32 or float64 in [0, 1] -> energies of the same shape and dtype.

    A zero becomes +inf, which forbids the label, unless `floor` > 0 lifts smaller probabilities to itself.
    InputError for other dtypes or for NaN and values outside [0, 1].
    """
    if not isinstance(probabilities, Tensor) or probabilities.dtype not in (torch.float32, torch.float64):
        found = probabilities.dtype if isinstance(probabilities, Tensor) else type(probabilities).__name__
        raise InputError(f"probabilities: expected a float32 or float64 tensor, got {found}")
    inside = (probabilities >= 0) & (probabilities <= 1)
    if not bool(inside.all()):
        worst = probabilities[~inside][0].item()
        raise InputError(f"probabilities: found {worst} outside [0, 1]; scores go through a softmax first")
    if floor is not None:
        if not 0 < floor <= 1:
            raise InputError(f"floor {floor}: expected a probability above 0")
        probabilities = probabilities.clamp(min=floor)
    return -torch.log(probabilities)


def unary_from_labels(
    labels: Tensor,
    classes: int,
    *,
    confidence: float = 0.7,
    unsure: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Energies for hard labels H×W or B×H×W, integers in [0, classes) -> classes×H×W or B×classes×H×W.

    The label's probability is `confidence`, in (0, 1); the other classes share the rest evenly. Pixels of value
    `unsure` (255 in VOC's masks) get the same energy for every class. Classes count from 0, with no class set aside for
    "unsure". InputError for labels out of range, one class, and a confidence outside (0, 1).
    """
    if (
        not isinstance(labels, Tensor)
        or labels.is_floating_point()
        or labels.is_complex()
        or labels.dim() not in (2, 3)
    ):
        found = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise InputError(f"labels: expected an integer tensor H×W or B×H×W, got {found}")
    if classes < 2:
        raise InputError(f"classes {classes}: labels need at least two classes to choose from")
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: expected a probability between 0 and 1, both excluded")
    index = labels.to(torch.int64)
    blank = torch.zeros_like(index, dtype=torch.bool) if unsure is None else index == unsure
    out = ((index < 0) | (index >= classes)) & ~blank
    if bool(out.any()):
        raise InputError(f"labels: found {index[out][0].item()}; expected 0 to {classes - 1}")
    others = -math.log((1 - confidence) / (classes - 1))
    shape = (*index.shape[:-2], classes, *index.shape[-2:])
    energy = torch.full(shape, others, dtype=dtype)
    energy.scatter_(-3, index.masked_fill(blank, 0).unsqueeze(-3), -math.log(confidence))
    return energy.masked_fill(blank.unsqueeze(-3), math.log(classes))
