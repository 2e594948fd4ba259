"""The classes of rooms: those of ScanNet's benchmark of 20 classes, in its order and its colours."""

from __future__ import annotations

CLASSES = (
    ("wall", (174, 199, 232)),
    ("floor", (152, 223, 138)),
    ("cabinet", (31, 119, 180)),
    ("bed", (255, 187, 120)),
    ("chair", (188, 189, 34)),
    ("sofa", (140, 86, 75)),
    ("table", (255, 152, 150)),
    ("door", (214, 39, 40)),
    ("window", (197, 176, 213)),
    ("bookshelf", (148, 103, 189)),
    ("picture", (196, 156, 148)),
    ("counter", (23, 190, 207)),
    ("desk", (247, 182, 210)),
    ("curtain", (219, 219, 141)),
    ("refrigerator", (255, 127, 14)),
    ("shower curtain", (158, 218, 229)),
    ("toilet", (44, 160, 44)),
    ("sink", (112, 128, 144)),
    ("bathtub", (227, 119, 194)),
    ("otherfurniture", (82, 84, 163)),
)
"""Name and colour (RGB) of each class, in the order of the labels."""
NAMES = tuple(name for name, _ in CLASSES)
LABELS = {name: label for label, name in enumerate(NAMES)}
BOX_NAMES = NAMES[2:]
"""What has boxes: all but walls and floor, as in ScanNet's detection of 18 classes."""
IGNORED = -1
"""Label of ceilings and of clutter (lamps, books, plants, screens, cups)."""
