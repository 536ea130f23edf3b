"""What the 20 classes of the generated data set `shapes` look like.

Each class is a shape, a texture and a hue together. Two classes agree in at most one of the three, so any two of
them name the class and none of them alone does: a hue is shared by four classes, a texture by five, a shape by two.

| label | slot        | shape     | texture | hue    |   | label | slot        | shape     | texture | hue    |
|-------|-------------|-----------|---------|--------|---|-------|-------------|-----------|---------|--------|
| 1     | aeroplane   | ellipse   | plain   | red    |   | 11    | diningtable | ellipse   | checks  | amber  |
| 2     | bicycle     | ring      | plain   | amber  |   | 12    | dog         | ring      | checks  | green  |
| 3     | bird        | rectangle | plain   | green  |   | 13    | horse       | rectangle | checks  | blue   |
| 4     | boat        | triangle  | plain   | blue   |   | 14    | motorbike   | triangle  | checks  | violet |
| 5     | bottle      | star      | plain   | violet |   | 15    | person      | star      | checks  | red    |
| 6     | bus         | cross     | stripes | red    |   | 16    | pottedplant | cross     | dots    | amber  |
| 7     | car         | crescent  | stripes | amber  |   | 17    | sheep       | crescent  | dots    | green  |
| 8     | cat         | heart     | stripes | green  |   | 18    | sofa        | heart     | dots    | blue   |
| 9     | chair       | arrow     | stripes | blue   |   | 19    | train       | arrow     | dots    | violet |
| 10    | cow         | gear      | stripes | violet |   | 20    | tvmonitor   | gear      | dots    | red    |

The VOC names are only the slots the classes stand in; nothing here resembles an aeroplane.
"""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = ("ellipse", "ring", "rectangle", "triangle", "star", "cross", "crescent", "heart", "arrow", "gear")
TEXTURES = ("plain", "stripes", "checks", "dots")
# centre of each hue range, degrees; every object is within HUE_SPREAD of it
HUES = {"red": 0.0, "amber": 45.0, "green": 125.0, "blue": 212.0, "violet": 290.0}
HUE_SPREAD = 13.0


@dataclass(frozen=True)
class ShapeClass:
    """One class of the generated set: its label 1 … 20 and what it looks like."""

    label: int
    shape: str
    texture: str
    hue: str


def _table() -> tuple[ShapeClass, ...]:
    hues = tuple(HUES)
    rows = []
    for index in range(20):
        shape, texture = SHAPES[index % 10], TEXTURES[index // 5]
        # the second class of a shape gets the next hue, so that it shares neither texture nor hue with the first
        hue = hues[(index + index // 10) % 5]
        rows.append(ShapeClass(index + 1, shape, texture, hue))
    return tuple(rows)


SHAPE_CLASSES = _table()
