"""A small folder of SBD with its .mat files as MATLAB has them, written by SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image


def write_mat(path: Path, variable: str, mask: np.ndarray, categories: list[int]) -> None:
    """GTcls or GTinst with its cells of sparse boundaries, which a reader has to pass by."""
    path.parent.mkdir(parents=True, exist_ok=True)
    edges = np.empty((len(categories), 1), object)
    for at in range(len(categories)):
        edges[at, 0] = scipy.sparse.csc_matrix(np.eye(*mask.shape) > 0)
    name = "CategoriesPresent" if variable == "GTcls" else "Categories"
    fields = {"Boundaries": edges, "Segmentation": mask, name: np.array(categories, float).reshape(-1, 1)}
    scipy.io.savemat(path, {variable: fields}, do_compression=True)


def write_picture(folder: Path, name: str, classes: np.ndarray, objects: np.ndarray, categories: list[int]) -> None:
    write_mat(folder / "cls" / f"{name}.mat", "GTcls", classes, sorted(set(categories)))
    write_mat(folder / "inst" / f"{name}.mat", "GTinst", objects, categories)
    (folder / "img").mkdir(exist_ok=True)
    Image.fromarray(np.full((*classes.shape, 3), 90, np.uint8)).save(folder / "img" / f"{name}.jpg")


def two_objects(label: int, other: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of classes and of objects, (40, 50) uint8."""
    objects = np.zeros((40, 50), np.uint8)
    objects[5:25, 5:20] = 1
    objects[10:38, 25:45] = 2
    return np.array([0, label, other], np.uint8)[objects], objects
