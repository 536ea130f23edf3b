"""DeconvNet as one would write it in PyTorch today, to train beside ours: nothing of this project in it."""

from __future__ import annotations

import torch
from torch import nn

ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64, 64))


def _normalised(layer: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(channels, eps=1e-9), nn.ReLU(inplace=True))


def _blocks(sizes: tuple[tuple[int, ...], ...], channels: int, kind: type[nn.Module]) -> nn.ModuleList:
    blocks = nn.ModuleList()
    for block in sizes:
        layers = []
        for size in block:
            layers.append(_normalised(kind(channels, size, 3, padding=1), size))
            channels = size
        blocks.append(nn.Sequential(*layers))
    return blocks


class PlainDeconvNet(nn.Module):
    """Images (N, 3, 224, 224) to scores (N, 21, 224, 224)."""

    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.encoder = _blocks(ENCODER, 3, nn.Conv2d)
        self.whole = nn.Sequential(
            _normalised(nn.Conv2d(512, 4096, 7), 4096),
            _normalised(nn.Conv2d(4096, 4096, 1), 4096),
            _normalised(nn.ConvTranspose2d(4096, 512, 7), 512),
        )
        self.decoder = _blocks(DECODER, 512, nn.ConvTranspose2d)
        self.score = nn.Conv2d(DECODER[-1][-1], classes, 1)
        self.pool, self.unpool = nn.MaxPool2d(2, 2, return_indices=True), nn.MaxUnpool2d(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        indices = []
        for block in self.encoder:
            x, where = self.pool(block(x))
            indices.append(where)
        x = self.whole(x)
        for block in self.decoder:
            x = block(self.unpool(x, indices.pop()))
        return self.score(x)


class PlainTraining:
    """Forward, backward and update of `PlainDeconvNet`, SGD with momentum and decay; optionally under autocast."""

    def __init__(self, device: str, autocast: torch.dtype | None, rate: float) -> None:
        self.net = PlainDeconvNet().to(device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
        self.loss = nn.CrossEntropyLoss(ignore_index=255)
        self.device, self.autocast = torch.device(device), autocast

    @torch.no_grad()
    def start_as(self, parameters: list[torch.Tensor]) -> None:
        """Take over parameters in the order of layers: weight, bias, then BN's scale and shift."""
        own = list(self.net.parameters())
        for mine, theirs in zip(own, parameters, strict=True):
            mine.copy_(theirs.reshape(mine.shape))

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        self.optimizer.zero_grad()
        images, labels = images.to(self.device), labels.to(self.device)
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            scores = self.net(images)
        loss = self.loss(scores.float(), labels[:, 0].long())
        loss.backward()
        self.optimizer.step()
        return loss.item()
