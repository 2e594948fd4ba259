"""The mesh of a scan: its vertices with colour, normals and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pointlift.data.formats.ply import parse_ply, parse_ply_faces
from pointlift.data.formats.rgbd import FEATURES
from pointlift.data.formats.text import fitted
from pointlift.errors import DataError
from pointlift.files import read_bytes


def read_mesh(path: Path, *, normals: bool) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) float64 in metres, and features (N, 3) float32, colour in [0, 1]; (N, 6) with normals."""
    data = read_bytes(path)
    columns = parse_ply(data, path)
    for name in ("x", "y", "z", *FEATURES):
        if name not in columns:
            raise DataError(f"{path}: the vertices have no property '{name}'; they have: {', '.join(columns)}")
    points = np.stack([columns[axis] for axis in "xyz"], axis=1).astype(np.float64)
    colors = np.stack([columns[name] for name in FEATURES], axis=1)
    if colors.dtype != np.uint8:
        raise DataError(f"{path}: the colours must be uchar, not {colors.dtype}")
    features = colors.astype(np.float32) / np.float32(255)
    if normals:
        features = np.concatenate([features, vertex_normals(points, parse_ply_faces(data, path))], axis=1)
    return points, features.astype(np.float32)


def vertex_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3): the sum of those of a vertex's triangles, weighted by area; zero where it has none."""
    corners = points[triangles]  # (F, 3 corners, 3)
    doubled_areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.zeros_like(points)
    for corner in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(triangles[:, corner], doubled_areas[:, axis], minlength=len(points))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return sums / np.where(lengths > 0, lengths, 1.0)


def read_labels(path: Path, vertices: int) -> np.ndarray:
    """The NYU40 id (N,) int64 of each vertex, as ``ID_vh_clean_2.labels.ply`` has them."""
    columns = parse_ply(read_bytes(path), path)
    if "label" not in columns:
        raise DataError(f"{path}: the vertices have no property 'label'; they have: {', '.join(columns)}")
    if len(columns["label"]) != vertices:
        raise DataError(f"{path}: there are labels of {len(columns['label'])} vertices, the mesh has {vertices}")
    return fitted(columns["label"], "i8", "label", path)
