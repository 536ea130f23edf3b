"""What the paper's figures show, computed; `repro.report` draws it.

`activations` is Fig. 4, `aggregation` Fig. 6, `comparison` Fig. 7, `layer_rows` the table of the network's layers.
"""

from repro.papers.deconvnet.figures.activations import Activation, activations
from repro.papers.deconvnet.figures.aggregation import Aggregated, aggregation
from repro.papers.deconvnet.figures.comparison import COLUMNS, Comparer
from repro.papers.deconvnet.figures.layer_table import layer_rows

__all__ = ["COLUMNS", "Activation", "Aggregated", "Comparer", "activations", "aggregation", "layer_rows"]
