"""The classes of streets, and the words that are true of what stands in them."""

from __future__ import annotations

from pointlift.worlds.engine.materials import COLORS, LOOKS

CLASSES = (
    ("road", (128, 64, 128)),
    ("pavement", (244, 35, 232)),
    ("terrain", (152, 251, 152)),
    ("building", (220, 160, 60)),
    ("vegetation", (60, 160, 50)),
    ("car", (70, 110, 240)),
    ("lorry", (40, 60, 140)),
    ("bus", (0, 200, 220)),
    ("two-wheeler", (170, 40, 90)),
    ("pedestrian", (230, 30, 60)),
    ("pole", (200, 200, 200)),
    ("barrier", (150, 110, 90)),
    ("cone", (255, 140, 0)),
)
"""Name and colour (RGB) of each class, in the order of the labels."""
LABELS = {name: label for label, (name, _) in enumerate(CLASSES)}
"""Label of each class."""
EGO = -2
"""Label of the ego vehicle's own triangles: its returns are dropped and counted."""
_KINDS = (
    ("hatchback", "saloon", "estate", "suv", "van", "pickup", "truck", "container", "tanker", "flatbed", "coach"),
    ("bicycle", "motorcycle", "scooter", "rider", "adult", "child", "bag", "wheel", "window", "door", "light"),
    ("tree", "pine", "palm", "bush", "hedge", "trunk", "house", "apartment", "shed", "warehouse", "shop", "awning"),
    ("roof", "chimney", "fence", "wall", "rail", "jersey", "board", "lamp", "sign", "bollard", "mast", "signal"),
    ("barrel", "marking", "kerb"),
)
ATTRIBUTES = (*COLORS, *LOOKS, *(word for group in _KINDS for word in group))
"""Every word that a material may carry."""
