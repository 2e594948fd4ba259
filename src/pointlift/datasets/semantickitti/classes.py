"""The 19 classes of SemanticKITTI's single-scan benchmark, and from raw ids to them."""

from __future__ import annotations

from functools import cache

import numpy as np

# Name, colour (RGB) and raw ids of the 19 classes of the single-scan benchmark, in the order of its learning map;
# ids from 252 on are the moving ones. Source: config/semantic-kitti.yaml of PRBonn/semantic-kitti-api.
CLASSES = (
    ("car", (100, 150, 245), (10, 252)),
    ("bicycle", (100, 230, 245), (11,)),
    ("motorcycle", (30, 60, 150), (15,)),
    ("truck", (80, 30, 180), (18, 258)),
    ("other-vehicle", (0, 0, 255), (13, 16, 20, 256, 257, 259)),
    ("person", (255, 30, 30), (30, 254)),
    ("bicyclist", (255, 40, 200), (31, 253)),
    ("motorcyclist", (150, 30, 90), (32, 255)),
    ("road", (255, 0, 255), (40, 60)),
    ("parking", (255, 150, 255), (44,)),
    ("sidewalk", (75, 0, 75), (48,)),
    ("other-ground", (175, 0, 75), (49,)),
    ("building", (255, 200, 0), (50,)),
    ("fence", (255, 120, 50), (51,)),
    ("vegetation", (0, 175, 0), (70,)),
    ("trunk", (135, 60, 0), (71,)),
    ("terrain", (150, 240, 80), (72,)),
    ("pole", (255, 240, 150), (80,)),
    ("traffic-sign", (255, 0, 0), (81,)),
)

UNKNOWN = -2
"""What no raw id of SemanticKITTI is taken to."""
IGNORED_IDS = (0, 1, 52, 99)  # unlabelled, outlier, other structure, other object


@cache
def learning_map() -> np.ndarray:
    """Class (65536,) int64 of every raw id: 0 to 18, -1 to ignore, `UNKNOWN` for what is no id."""
    table = np.full(1 << 16, UNKNOWN, dtype=np.int64)
    table[list(IGNORED_IDS)] = -1
    for index, (_, _, ids) in enumerate(CLASSES):
        table[list(ids)] = index
    return table
