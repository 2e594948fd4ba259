"""Scenes, camera geometry, point-pixel pairs, augmentation and data sets."""

from pointlift.data.augmentation import ImageAugmentation, PointAugmentation, augment_image, augment_points
from pointlift.data.dataset import Dataset
from pointlift.data.scene import Pairs, Scene, View

__all__ = [
    "Dataset",
    "ImageAugmentation",
    "Pairs",
    "PointAugmentation",
    "Scene",
    "View",
    "augment_image",
    "augment_points",
]
