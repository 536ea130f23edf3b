"""U-Net (Ronneberger, Fischer, Brox, MICCAI 2015): tile sizes, weights of borders, elastic deformation, the system.

Inference by overlapping tiles is `repro.papers.inference.tiles`; valid convolutions, crops and the weighted loss are in
the prototxts. Release: u-net-release-2015-10-02.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates

from repro.errors import InputError, UnsupportedError
from repro.files import write_atomic
from repro.papers.inference.preprocess import Preprocess
from repro.papers.inference.settings import Inference
from repro.papers.inference.tiles import OverlapTiles
from repro.papers.system import Network, Original, System, published
from repro.report.palette import describe

IGNORED = 255
W0, SIGMA = 10.0, 5.0
GRID, DISPLACEMENT = 3, 10.0

Float32Array = NDArray[np.float32]
Instances = NDArray[np.integer]


def output_side(side: int) -> int:
    """Side of the scores for an input side: 184 less. InputError unless it is 16 k + 60, 188 or more (figure 1)."""
    if side < 188 or (side - 60) % 16:
        near = 16 * max(8, round((side - 60) / 16)) + 60
        raise InputError(f"an input side of {side}: 16 k + 60 from 188 on keeps every pooled map even; {near} is near")
    return side - 184


def input_side(side: int) -> int:
    """The least input side whose scores have at least this side."""
    if side < 1:
        raise InputError(f"an output side of {side}: at least 1 was expected")
    return max(188, 16 * -(-(side + 124) // 16) + 60)


def separate(instances: Instances) -> Instances:
    """Instances (H, W), 0 = background, with background where two different ones touch (8-neighbourhood).

    Section 3 draws separation borders by morphology and says no more; here each pixel next to another instance goes.
    """
    cells = _checked(instances)
    padded = np.pad(cells, 1)
    touching = np.zeros(cells.shape, bool)
    for dy in range(3):
        for dx in range(3):
            other = padded[dy : dy + cells.shape[0], dx : dx + cells.shape[1]]
            touching |= (other != 0) & (other != cells)
    return np.where(touching, 0, cells)


def border_weights(
    instances: Instances, *, w0: float = W0, sigma: float = SIGMA, balance: bool = True, everywhere: bool = False
) -> Float32Array:
    """Weights (H, W) of the loss: w = w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), equation 2.

    instances: (H, W) whole numbers, 0 = background, one number per cell. d1 and d2 are the distances in pixels to the
    nearest and the second nearest cell; without two cells there is no second term. w_c balances the two classes:
    pixels / (2 x pixels of the class), or 1 without `balance`. The second term is added to background pixels, whose
    gaps it is for; `everywhere`: to all, as the equation reads (a cell's own pixels have d1 = 0).
    InputError for other arrays and for w0 < 0 or sigma <= 0.
    """
    cells = _checked(instances)
    if not (w0 >= 0 and sigma > 0):
        raise InputError(f"w0 {w0}, sigma {sigma}: at least 0 and more than 0 were expected")
    background = cells == 0
    weights = np.ones(cells.shape, np.float64)
    if balance:
        for part in (background, ~background):
            if part.any():
                weights[part] = cells.size / (2 * int(part.sum()))
    names = np.unique(cells[~background])
    if len(names) > 1:
        nearest, second = np.full((2, *cells.shape), np.inf)
        for name in names:
            distance = distance_transform_edt(cells != name)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
        gaps = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
        weights += gaps if everywhere else gaps * background
    return weights.astype(np.float32)


def elastic_field(
    size: tuple[int, int], rng: np.random.Generator, *, grid: int = GRID, displacement: float = DISPLACEMENT
) -> NDArray[np.float64]:
    """Displacements (2, H, W) in pixels, y then x: normal on a coarse grid, bicubic between (section 3.1).

    grid: points a side, the outer ones in the corners; displacement: their standard deviation.
    """
    if min(size) < 1 or grid < 2 or not displacement >= 0:
        raise InputError(f"a field of {size} from {grid} points of {displacement} pixels: at least 1, 2 and 0 expected")
    coarse = rng.normal(0.0, displacement, (2, grid, grid))
    places = np.meshgrid(*(np.linspace(0, grid - 1, side) for side in size), indexing="ij")
    return np.stack([map_coordinates(plane, places, order=3, mode="mirror") for plane in coarse])


def deform(plane: NDArray[np.generic], field: NDArray[np.float64], *, labels: bool = False) -> NDArray[np.generic]:
    """A plane (H, W) displaced by a field: value at (y, x) taken from (y, x) + field, mirrored beyond the border.

    Pictures are interpolated bicubically and keep their dtype and range; `labels` take the nearest value.
    """
    if plane.ndim != 2 or field.shape != (2, *plane.shape):
        raise InputError(f"a plane {describe(plane)} and a field {describe(field)}; expected (H, W) and (2, H, W)")
    places = np.indices(plane.shape) + field
    if labels:
        return map_coordinates(plane, places, order=0, mode="mirror").astype(plane.dtype)
    moved = map_coordinates(plane.astype(np.float64), places, order=3, mode="mirror")
    if plane.dtype.kind in "iu":
        # a cubic overshoots where the picture has an edge
        moved = np.clip(np.rint(moved), np.asarray(plane.min()), np.asarray(plane.max()))
    return moved.astype(plane.dtype)


def sample(
    picture: NDArray[np.generic],
    instances: Instances,
    rng: np.random.Generator | None = None,
    *,
    output: tuple[int, int] = (388, 388),
) -> dict[str, Float32Array]:
    """One tile for the training net: data (1, 1, h, w), label and weights (1, 1, *output), float32.

    picture: (H, W) grey, scaled by its own greatest value; instances: (H, W), 0 = background, 255 and more are cells
    too. The tile of output size lies anywhere in the picture (in the middle without rng), its surround is mirrored.
    With rng picture and cells are deformed elastically and mirrored by chance. Label 0 is background, 1 a cell.
    """
    if picture.ndim != 2 or picture.shape != instances.shape or not picture.size:
        raise InputError(f"picture {describe(picture)} and instances {describe(instances)}; two equal (H, W) expected")
    grey = picture.astype(np.float64) / max(float(picture.max()), 1e-12)
    cells = _checked(instances)
    if rng is not None:
        field = elastic_field((cells.shape[0], cells.shape[1]), rng)
        grey, cells = np.asarray(deform(grey, field), np.float64), _checked(deform(cells, field, labels=True))
        if rng.integers(2):
            grey, cells = grey[:, ::-1], cells[:, ::-1]
    cells = separate(cells)
    weights = border_weights(cells)
    free = [max(have - want, 0) for have, want in zip(cells.shape, output, strict=True)]
    at = [int(rng.integers(room + 1)) if rng is not None else room // 2 for room in free]
    margin = 92
    spare = [max(want - have, 0) for have, want in zip(cells.shape, output, strict=True)]
    surround = np.pad(grey, [(margin, margin + more) for more in spare], mode="reflect")
    rest = [(0, more) for more in spare]
    label = np.pad((cells > 0).astype(np.float32), rest, constant_values=IGNORED)
    weight = np.pad(weights, rest)
    y, x = at
    inner = np.s_[y : y + output[0], x : x + output[1]]
    outer = np.s_[y : y + output[0] + 2 * margin, x : x + output[1] + 2 * margin]
    planes = {"data": surround[outer], "label": label[inner], "weights": weight[inner]}
    return {name: np.ascontiguousarray(plane, np.float32)[None, None] for name, plane in planes.items()}


def write_samples(folder: Path, samples: Iterable[dict[str, Float32Array]]) -> int:
    """FOLDER/NNNN.h5 with data, label, weights and FOLDER/train.txt naming them; how many. Needs h5py."""
    try:
        import h5py
    except ImportError:
        raise UnsupportedError("training tiles are HDF5 files, which need h5py; pip install 'repro[hdf5]'") from None
    names: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    for number, planes in enumerate(samples):
        path = folder / f"{number:04d}.h5"
        with h5py.File(path, "w") as file:
            for name, plane in planes.items():
                file[name] = plane
        names.append(path.name)
    write_atomic(folder / "train.txt", "".join(f"{name}\n" for name in names).encode())
    return len(names)


def _checked(instances: NDArray[np.generic]) -> Instances:
    if instances.ndim != 2 or not instances.size or instances.dtype.kind not in "iu" or instances.min() < 0:
        raise InputError(f"instances: a non-empty (H, W) array of whole numbers from 0 on expected, got "
                         f"{describe(instances)}")  # fmt: skip
    return np.asarray(instances)


# the release scales pictures to [0, 1]; the mean stays
_TILES = Inference(Preprocess("GRAY", (0.0,), 1 / 255), OverlapTiles((572, 572), (388, 388)), probabilities=True)
_SIZES = (((1, 1, 572, 572), (1, 2, 388, 388)), ((1, 1, 188, 204), (1, 2, 4, 20)))
_CLASSES: Sequence[str] = ("background", "cell")

SYSTEM = System(
    name="unet",
    title="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    paper="O. Ronneberger, P. Fischer, T. Brox, MICCAI 2015, arXiv 1505.04597",
    headline="IoU 0.9203 (PhC-U373), 0.7756 (DIC-HeLa)",
    networks=(
        Network(
            name="unet",
            prototxt="unet/deploy",
            parameters=31_030_658,
            sizes=(*_SIZES, ((1, 1, 188, 188), (1, 2, 4, 4))),
            inference=_TILES,
            train="unet/train",
            solver="unet/solver",
            train_shapes=(("data", (1, 1, 188, 188)), ("label", (1, 1, 4, 4)), ("weights", (1, 1, 4, 4))),
            classes=tuple(_CLASSES),
            originals=(
                Original(
                    "IBBM__Cascaded-FCN__models__cascadedfcn__step1__step1_deploy",
                    "unet/deploy",
                    renames=(
                        ("upconv_u1d_u0a_NEW", "upconv_u1d_u0a"),
                        ("conv_u0b-c_New", "conv_u0b-c"),
                        ("conv_u0c-d_New", "conv_u0c-d"),
                        ("conv_u0d-score_New", "conv_u0d-score"),
                    ),
                    why="Cascaded-FCN renamed the layers that it trained anew",
                ),
            ),
        ),
        Network(
            name="unet_release",
            prototxt="unet/release_deploy",
            parameters=31_100_354,
            sizes=_SIZES,
            inference=_TILES,
            weights="phseg_v5.caffemodel",
            classes=tuple(_CLASSES),
        ),
    ),
    published=published("unet"),
    notes=("the released net's last up-convolution has 128 channels, the figure's 64",),
)
