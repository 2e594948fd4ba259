"""Classes of nuScenes: the 32 of lidarseg in 16 that count, and the 10 whose boxes count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pointlift.errors import DataError

# Name, colour (RGB), names for text encoders. The order and the colours are those of the lidarseg challenge
# (LidarsegClassMapper of nutonomy/nuscenes-devkit 1.2.0), whose classes 1 to 16 these are.
CLASSES = (
    ("barrier", (112, 128, 144), ("barrier",)),
    ("bicycle", (220, 20, 60), ("bicycle",)),
    ("bus", (255, 127, 80), ("bus",)),
    ("car", (255, 158, 0), ("car",)),
    ("construction_vehicle", (233, 150, 70), ("construction vehicle",)),
    ("motorcycle", (255, 61, 99), ("motorcycle",)),
    ("pedestrian", (0, 0, 230), ("pedestrian",)),
    ("traffic_cone", (47, 79, 79), ("traffic cone",)),
    ("trailer", (255, 140, 0), ("trailer",)),
    ("truck", (255, 99, 71), ("truck",)),
    ("driveable_surface", (0, 207, 191), ("driveable surface",)),
    ("other_flat", (175, 0, 75), ("other flat",)),
    ("sidewalk", (75, 0, 75), ("sidewalk",)),
    ("terrain", (112, 180, 60), ("terrain",)),
    ("manmade", (222, 184, 135), ("manmade",)),
    ("vegetation", (0, 175, 0), ("vegetation",)),
)
# The 32 names of lidarseg in the order of their ids, with the class that each counts as. Source: the devkit's
# LidarsegClassMapper, and category.json of nuScenes-lidarseg for the order.
LIDARSEG = {
    "noise": None,
    "animal": None,
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.personal_mobility": None,
    "human.pedestrian.police_officer": "pedestrian",
    "human.pedestrian.stroller": None,
    "human.pedestrian.wheelchair": None,
    "movable_object.barrier": "barrier",
    "movable_object.debris": None,
    "movable_object.pushable_pullable": None,
    "movable_object.trafficcone": "traffic_cone",
    "static_object.bicycle_rack": None,
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.emergency.ambulance": None,
    "vehicle.emergency.police": None,
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "driveable_surface",
    "flat.other": "other_flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.other": None,
    "static.vegetation": "vegetation",
    "vehicle.ego": None,
}
# The ten classes of the detection challenge, in its order; a box's category counts as the same class as a point's.
BOX_NAMES = (
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
)
UNKNOWN = -2


def box_label(category: str) -> int:
    """Index in `BOX_NAMES` of a category such as vehicle.car, -1 if it is none of them."""
    name = LIDARSEG.get(category)
    return BOX_NAMES.index(name) if name in BOX_NAMES else -1


def learning_map(categories: Iterable[tuple[str, int]], where: Path) -> np.ndarray:
    """Class (256,) int64 of every byte of a lidarseg file: 0 to 15, -1 to ignore, `UNKNOWN` for what is no id.

    Args:
        categories: (name, id), as category.json of nuScenes-lidarseg has them; the official ids if there are none.
        where: that file, for messages.
    """
    names = [name for name, _, _ in CLASSES]
    table = np.full(256, UNKNOWN, dtype=np.int64)
    official = [(name, index) for index, name in enumerate(LIDARSEG)]
    for name, index in list(categories) or official:
        if name not in LIDARSEG or not 0 <= index < 256:
            raise DataError(f"{where}: the category '{name}' with index {index} is not one of nuScenes-lidarseg")
        counts_as = LIDARSEG[name]
        table[index] = -1 if counts_as is None else names.index(counts_as)
    return table
