"""Frozen 2D models behind one protocol, and the cache of their features."""

from pointlift.teachers.base import Teacher
from pointlift.teachers.cache import FeatureCache
from pointlift.teachers.dinov2 import DINOv2
from pointlift.teachers.images import teacher_size, view_to_tensor
from pointlift.teachers.pixels import PixelFeatures
from pointlift.teachers.sampling import sample_features
from pointlift.teachers.street import StreetTeacher

__all__ = [
    "DINOv2",
    "FeatureCache",
    "PixelFeatures",
    "StreetTeacher",
    "Teacher",
    "sample_features",
    "teacher_size",
    "view_to_tensor",
]
