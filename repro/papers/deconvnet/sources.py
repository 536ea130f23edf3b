"""Where the proposals of a photograph come from: Edge Boxes now, the release's cached files, or files of ours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from repro.data.edges import StructuredForest
from repro.data.proposal_files import read_proposals
from repro.data.proposals import boxes_from_mat, edge_boxes
from repro.errors import DataError, InputError
from repro.papers.deconvnet.recipe import RECIPES, Recipe
from repro.papers.deconvnet.windows import BoxesFrame

EDGE_BOXES = "edge-boxes"


class FoundBoxes(NamedTuple):
    """boxes (N, 4) int64 best first, in `frame` as `infer_image` has it; origin: in words, for reports."""

    boxes: NDArray[np.int64]
    frame: BoxesFrame
    origin: str


class BoxSource(Protocol):
    """Gives the boxes of a photograph. `adapt` changes a recipe so that boxes are extended exactly once."""

    def check(self, photograph: Path) -> None: ...

    def find(self, photograph: Path, image: NDArray[np.uint8]) -> FoundBoxes: ...

    def adapt(self, recipe: Recipe) -> Recipe: ...


class EdgeBoxes:
    """Edge Boxes with the published settings. edge_model: structured-forest file, None: gradient edges."""

    def __init__(self, edge_model: str | Path | None = None) -> None:
        self._forest = None if edge_model is None else StructuredForest(edge_model)

    def check(self, photograph: Path) -> None:
        """Nothing to check before the photograph is read."""

    def find(self, photograph: Path, image: NDArray[np.uint8]) -> FoundBoxes:
        found = edge_boxes(image, model=self._forest)
        return FoundBoxes(found.boxes, "image", f"Edge Boxes on {found.edge_source} edges")

    def adapt(self, recipe: Recipe) -> Recipe:
        """Edge Boxes are tight: extended as the paper says in every recipe; the release scores such boxes too."""
        return _extended_here(recipe)


class CachedBoxes:
    """The release's cached .mat files: FOLDER/NAME.mat for a photograph NAME.jpg. InputError if there is no folder."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise InputError(f"proposals '{folder}': neither '{EDGE_BOXES}' nor a folder of .mat files")

    def check(self, photograph: Path) -> None:
        """Reads the photograph's file; DataError or FormatError where it is not there or damaged."""
        self._read(photograph)

    def find(self, photograph: Path, image: NDArray[np.uint8]) -> FoundBoxes:
        return FoundBoxes(self._read(photograph), "release", "cached")

    def adapt(self, recipe: Recipe) -> Recipe:
        """The cached boxes are extended ones."""
        return dataclasses.replace(recipe, enlarge=1.0, square=False)

    def _read(self, photograph: Path) -> NDArray[np.int64]:
        file = self._folder / f"{photograph.stem}.mat"
        if not file.is_file():
            raise DataError(f"{file}: no such file; it should hold the cached proposals of {photograph}")
        return boxes_from_mat(file)


class StoredBoxes:
    """Files that `repro proposals --format npz` or json wrote: FOLDER/NAME.npz for a photograph NAME.jpg."""

    def __init__(self, folder: str | Path, suffix: str) -> None:
        self._folder, self._suffix = Path(folder), suffix

    def check(self, photograph: Path) -> None:
        """Reads the photograph's file; DataError or FormatError where it is not there or damaged."""
        read_proposals(self._file(photograph))

    def find(self, photograph: Path, image: NDArray[np.uint8]) -> FoundBoxes:
        """InputError where the file belongs to a photograph of another size."""
        file = self._file(photograph)
        stored = read_proposals(file)
        if stored.image_size != image.shape[:2]:
            (height, width), (h, w) = stored.image_size, image.shape[:2]
            raise InputError(f"{file}: proposals of a photograph of {width}×{height}; {photograph} has {w}×{h}")
        return FoundBoxes(stored.found.boxes, "image", f"stored, Edge Boxes on {stored.found.edge_source} edges")

    def adapt(self, recipe: Recipe) -> Recipe:
        """The stored boxes are tight, as Edge Boxes gave them."""
        return _extended_here(recipe)

    def _file(self, photograph: Path) -> Path:
        return self._folder / f"{photograph.stem}{self._suffix}"


def _extended_here(recipe: Recipe) -> Recipe:
    paper = RECIPES["paper"]
    return dataclasses.replace(recipe, enlarge=paper.enlarge, square=paper.square)


def box_source(proposals: str, edge_model: str | Path | None = None) -> BoxSource:
    """The source named "edge-boxes", or a folder of .mat files, or of .npz or .json files of `repro proposals`."""
    if proposals == EDGE_BOXES:
        return EdgeBoxes(edge_model)
    if edge_model is not None:
        raise InputError("an edge model is of use to edge-boxes only; cached proposals need no edges")
    cached = CachedBoxes(proposals)
    kinds = [suffix for suffix in (".mat", ".npz", ".json") if any(Path(proposals).glob(f"*{suffix}"))]
    if len(kinds) > 1:
        raise InputError(
            f"proposals '{proposals}': has {' and '.join(kinds)} files; a folder with one kind is expected"
        )
    return StoredBoxes(proposals, kinds[0]) if kinds and kinds[0] != ".mat" else cached
