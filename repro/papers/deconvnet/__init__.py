"""Learning Deconvolution Network for Semantic Segmentation (Noh, Hong, Han, ICCV 2015)."""

from repro.papers.deconvnet.infer import infer_image
from repro.papers.deconvnet.recipe import RECIPES, Recipe
from repro.papers.scorer import NetScorer

__all__ = ["RECIPES", "NetScorer", "Recipe", "infer_image"]
