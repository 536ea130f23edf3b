"""A network and its CRF trained together on the generated shapes: CRF-as-RNN (Zheng et al. 2015) in a few lines."""

import torch
from torch import nn

from repro.crf import Bilateral, DenseCRF, Gaussian
from repro.data.shapes import generate_image


def test_the_loss_falls_and_the_learned_weights_move() -> None:
    torch.manual_seed(0)
    images, truths = [], []
    for index in range(2):
        image, labels, _ = generate_image(3, index)
        images.append(torch.from_numpy(image)[::6, ::6])
        truths.append((torch.from_numpy(labels)[::6, ::6].long() > 0).long())
    size = [min(t.shape[d] for t in truths) for d in (0, 1)]
    image = torch.stack([i[: size[0], : size[1]] for i in images]).float()
    truth = torch.stack([t[: size[0], : size[1]] for t in truths])

    network = nn.Conv2d(3, 2, 3, padding=1)
    crf = DenseCRF((Gaussian(3, 0.5), Bilateral(10, 13, 0.5, form="diag")), iterations=3, learn=True)
    start = [p.detach().clone() for p in crf.parameters()]
    optimizer = torch.optim.Adam([*network.parameters(), *crf.parameters()], lr=0.03)
    losses = []
    for _ in range(15):
        unary = -network(image.permute(0, 3, 1, 2) / 255 - 0.5).log_softmax(1)
        q = crf(unary, image, layout="hwc")
        loss = nn.functional.nll_loss(q.clamp_min(1e-6).log(), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    for before, after in zip(start, crf.parameters(), strict=True):
        assert not torch.equal(before, after)
