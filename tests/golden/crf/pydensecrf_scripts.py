"""Scripts as users of pydensecrf write them; each takes the two modules and returns what it computed.

Golden data: `pip install pydensecrf2==1.1 numpy` in an environment of its own (it is pydensecrf's C++), then
`python tests/golden/crf/pydensecrf_scripts.py tests/golden/data/crf/pydensecrf.npz`.
"""

from __future__ import annotations

import sys

import numpy as np


def picture(height: int = 47, width: int = 61) -> np.ndarray:
    """A shaded picture of two things on a ground, uint8, the same on every machine."""
    y, x = np.mgrid[:height, :width]
    noise = (x * 7919 + y * 104729 + x * y * 31) % 23
    disc = (x - 20) ** 2 + (y - 22) ** 2 < 150
    box = (abs(x - 45) < 9) & (abs(y - 25) < 14)
    base = np.where(disc, 200, np.where(box, 90, 150)) + noise
    return np.stack([base, base // 2 + 2 * y, 255 - base + x // 2], axis=-1).astype(np.uint8)


def scores(labels: int = 4, height: int = 47, width: int = 61) -> np.ndarray:
    """Softmax probabilities labels×H×W float32 that favour what the picture shows, with holes."""
    y, x = np.mgrid[:height, :width]
    truth = np.where((x - 20) ** 2 + (y - 22) ** 2 < 150, 1, np.where((abs(x - 45) < 9) & (abs(y - 25) < 14), 2, 0))
    jitter = ((x * 37 + y * 101 + np.arange(labels)[:, None, None] * 57) % 17) / 8.0
    z = jitter + 1.5 * (np.arange(labels)[:, None, None] == truth)
    e = np.exp(z - z.max(axis=0))
    return (e / e.sum(axis=0)).astype(np.float32)


def readme_2d(dcrf, utils) -> dict[str, np.ndarray]:
    """The README's usage, with iterations step by step and the KL divergence."""
    image, probs = picture(), scores()
    d = dcrf.DenseCRF2D(61, 47, 4)
    d.setUnaryEnergy(utils.unary_from_softmax(probs))
    d.addPairwiseGaussian(sxy=(3, 3), compat=3, kernel=dcrf.DIAG_KERNEL, normalization=dcrf.NORMALIZE_SYMMETRIC)
    d.addPairwiseBilateral(
        sxy=(80, 80),
        srgb=(13, 13, 13),
        rgbim=image,
        compat=10,
        kernel=dcrf.DIAG_KERNEL,
        normalization=dcrf.NORMALIZE_SYMMETRIC,
    )
    q = d.inference(5)
    stepped, tmp1, tmp2 = d.startInference()
    kl = [d.klDivergence(stepped)]
    for _ in range(5):
        d.stepInference(stepped, tmp1, tmp2)
        kl.append(d.klDivergence(stepped))
    return {"q": np.array(q), "map": np.argmax(q, axis=0), "stepped": np.array(stepped), "kl": np.array(kl)}


def readme_nd(dcrf, utils) -> dict[str, np.ndarray]:
    """The N-D example: a volume with labels, features from the utilities."""
    volume = (np.indices((9, 14, 11)).sum(axis=0) % 12 / 12.0).astype(np.float32)
    labels = np.where(volume > 0.5, 2, 1)
    labels[::3, ::2] = 0
    d = dcrf.DenseCRF(volume.size, 2)
    d.setUnaryEnergy(utils.unary_from_labels(labels, 2, gt_prob=0.7))
    d.addPairwiseEnergy(utils.create_pairwise_gaussian(sdims=(1.0, 1.0, 2.0), shape=volume.shape), compat=3)
    d.addPairwiseEnergy(utils.create_pairwise_bilateral(sdims=(2.0, 2.0, 2.0), schan=(0.3,), img=volume), compat=5)
    features = utils.create_pairwise_bilateral(sdims=(4, 5), schan=[9, 7, 5], img=picture(9, 14), chdim=2)
    return {"q": np.array(d.inference(7)), "features": features}


def utilities(dcrf, utils) -> dict[str, np.ndarray]:
    """What the utility functions return."""
    labels = (np.arange(35).reshape(5, 7) * 3) % 4
    probs = scores()
    return {
        "labels": utils.unary_from_labels(labels, 3, gt_prob=0.8),
        "sure": utils.unary_from_labels(labels, 4, gt_prob=0.8, zero_unsure=False),
        "scaled": utils.unary_from_softmax(probs, scale=0.7),
        "clipped": utils.unary_from_softmax(probs, clip=0.2),
        "double": utils.unary_from_softmax(probs.astype(np.float64), scale=0.5, clip=None),
        "gaussian": utils.create_pairwise_gaussian(sdims=(3, 2.5), shape=(5, 7)),
        "gray": utils.create_pairwise_bilateral(sdims=(3, 4), schan=2.0, img=picture(6, 5)[..., 0]),
        "first": utils.create_pairwise_bilateral(
            sdims=(3, 4), schan=5, img=np.moveaxis(picture(6, 5), 2, 0).copy(), chdim=0
        ),
    }


def settings(dcrf, utils) -> dict[str, np.ndarray]:
    """Every normalization, kernel type and kind of compatibility; a logistic unary; no unary; no pairwise energy."""
    image, unary = picture(), utils.unary_from_softmax(scores())
    found = {}
    matrix = (1 - np.eye(4, dtype=np.float32)) * np.float32(2)
    diagonal = np.array([-1, -2, -3, -0.5], np.float32)
    for name, compat, kernel, normalization in [
        ("none", 0.02, dcrf.CONST_KERNEL, dcrf.NO_NORMALIZATION),
        ("before", 3, dcrf.FULL_KERNEL, dcrf.NORMALIZE_BEFORE),
        ("after", diagonal, dcrf.DIAG_KERNEL, dcrf.NORMALIZE_AFTER),
        ("symmetric", matrix, dcrf.FULL_KERNEL, dcrf.NORMALIZE_SYMMETRIC),
    ]:
        d = dcrf.DenseCRF2D(61, 47, 4)
        d.setUnary(dcrf.ConstUnary(unary))
        d.addPairwiseGaussian(2, compat, kernel, normalization)
        d.addPairwiseBilateral((30, 20), (20, 13, 10), image, compat, kernel, normalization)
        q = d.inference(4)
        start, _, _ = d.startInference()
        found[name], found[f"{name}_kl"] = np.array(q), np.array(d.klDivergence(start))
    logistic = dcrf.DenseCRF(30, 3)
    weights = (np.arange(15, dtype=np.float32).reshape(3, 5) % 4) / 4
    features = (np.arange(150, dtype=np.float32).reshape(5, 30) % 7) / 7
    logistic.setUnary(dcrf.LogisticUnary(weights, features))
    logistic.addPairwiseEnergy(np.arange(30, dtype=np.float32)[None] / 3, 2)
    found["logistic"] = np.array(logistic.inference(3))
    free = dcrf.DenseCRF(10, 2)
    found["nothing"] = np.array(free.inference(2))
    return found


SCRIPTS = (readme_2d, readme_nd, utilities, settings)


def main() -> None:
    """Run every script under pydensecrf itself and store what it computed."""
    import pydensecrf.densecrf as dcrf
    import pydensecrf.utils as utils

    found = {f"{s.__name__}/{key}": value for s in SCRIPTS for key, value in s(dcrf, utils).items()}
    np.savez_compressed(sys.argv[1], **found)


if __name__ == "__main__":
    main()
