"""The smallest net a solver can train, with the parts of `Net` that it asks for."""

from __future__ import annotations

import torch


class Line(torch.nn.Module):
    """loss = mean (w·x + b - y)²; w stands for a convolution, b for a BN layer's parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.b = torch.nn.Parameter(torch.tensor([0.5])), torch.nn.Parameter(torch.tensor([0.0]))
        self.param_entries = [("conv", 0, self.w, 1.0, 1.0), ("bn", 0, self.b, 2.0, 0.0)]
        self.loss = torch.zeros(())

    def forward(self, **blobs: torch.Tensor) -> dict[str, torch.Tensor]:
        self.loss = (self.w * blobs["x"] + self.b - blobs["y"]).square().mean()
        return {"loss": self.loss}
