"""Which figures there are: name of the file -> what draws it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from repro.papers.figures import cells, costs, growth, pyramid, taps, updates

FIGURES: dict[str, Callable[[Path], None]] = {
    "dilation_fields": growth.draw,
    "deeplab_v1_taps": partial(taps.draw, panels=taps.DEEPLAB_V1),
    "deeplab_v2_taps": partial(taps.draw, panels=taps.DEEPLAB_V2),
    "pspnet_pyramid": pyramid.draw,
    "crfrnn_updates": updates.draw,
    "unet_weights": cells.draw,
    "decouplednet_costs": partial(costs.draw, stages=costs.DECOUPLEDNET),
    "enet_costs": partial(costs.draw, stages=costs.ENET),
    "icnet_costs": partial(costs.draw, stages=costs.ICNET),
}
