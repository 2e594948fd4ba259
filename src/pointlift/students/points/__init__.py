"""Patches of point clouds in plain PyTorch: farthest-point sampling, nearest neighbours, interpolation."""

from pointlift.students.points.interpolation import interpolate
from pointlift.students.points.neighbours import nearest_centres, nearest_points
from pointlift.students.points.patches import Patches, make_patches, random_patches, require_points
from pointlift.students.points.sampling import farthest_points
from pointlift.students.points.whole import drawn_rows, unit_spheres

__all__ = [
    "Patches",
    "drawn_rows",
    "farthest_points",
    "interpolate",
    "make_patches",
    "nearest_centres",
    "nearest_points",
    "random_patches",
    "require_points",
    "unit_spheres",
]
