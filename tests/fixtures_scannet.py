"""A tiny room, ray-cast into RGB-D frames by two cameras, and written in the layouts of ScanNet and 7-Scenes."""

from __future__ import annotations

import json
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

DEPTH_SIZE, COLOR_SIZE = (24, 32), (60, 80)  # height, width
DEPTH_K = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
COLOR_K = np.array([[80.0, 0, 39.0], [0, 81.0, 30.0], [0, 0, 1]])
COLOR_FROM_DEPTH = np.eye(4)
COLOR_FROM_DEPTH[:3, 3] = (-0.05, 0.01, 0.0)
ROOM = np.array([[-2.0, -1.5, 0.0], [2.0, 1.5, 2.5]])  # metres, z up
LOST = np.full((4, 4), -np.inf)


def pose(number: int) -> np.ndarray:
    """World from depth camera: level, 1.2 m above the floor, turning a little with every frame."""
    angle = 0.3 + 0.05 * number
    forward = np.array([np.cos(angle), np.sin(angle), 0])
    right = np.array([np.sin(angle), -np.cos(angle), 0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, [0, 0, -1], forward], axis=1)
    matrix[:3, 3] = (0.02 * number, 0.0, 1.2)
    return matrix


def color_at(points: np.ndarray) -> np.ndarray:
    """Colour in [0, 1] of a point of the room's walls, smooth, so that neighbouring pixels tell cameras apart."""
    return 0.5 + 0.4 * np.sin(2.0 * points + (0.0, 1.0, 2.0))


def cast(K: np.ndarray, size: tuple[int, int], world_from_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) in metres along the camera's z, and the points of the walls (H, W, 3) in the world."""
    v, u = np.mgrid[0 : size[0], 0 : size[1]]
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(K).T @ world_from_camera[:3, :3].T
    origin = world_from_camera[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.max((ROOM[:, None, None] - origin) / rays, axis=0).min(axis=-1)
    return depth, origin + rays * depth[..., None]


def frame(number: int, registered: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Depth image (H, W) uint16 in millimetres, with a hole, and colour image (H', W', 3) uint8."""
    depth, walls = cast(DEPTH_K, DEPTH_SIZE, pose(number))
    if not registered:
        _, walls = cast(COLOR_K, COLOR_SIZE, pose(number) @ np.linalg.inv(COLOR_FROM_DEPTH))
    raw = np.round(depth * 1000).astype(np.uint16)
    raw[:3, :4] = 0
    return raw, np.round(255 * color_at(walls)).astype(np.uint8)


def write_sequence(folder: Path, frames: int, registered: bool = True) -> Path:
    """Frames 0, 10, 20, … in the layout of 7-Scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        raw, color = frame(number, registered)
        stem = f"frame-{10 * number:06d}"
        Image.fromarray(raw).save(folder / f"{stem}.depth.png")
        Image.fromarray(color).save(folder / f"{stem}.color.png")
        np.savetxt(folder / f"{stem}.pose.txt", pose(number))
    np.savetxt(folder / "camera-intrinsics.txt", DEPTH_K)
    return folder


def write_mosd(root: Path, frames: int = 12) -> Path:
    """Frames with label images, without poses, in the layout of mOSD."""
    for part in ("rgb", "depth", "label"):
        (root / part).mkdir(parents=True)
    for number in range(frames):
        raw, color = frame(number, registered=True)
        labels = np.zeros(raw.shape, np.uint8)
        labels[8:], labels[10:14, 4:9], labels[10:14, 9:12], labels[18:, 20:] = 2, 20, 21, 33
        Image.fromarray(color).save(root / "rgb" / f"learn{number}.png")
        Image.fromarray((raw * 5).astype(np.uint16)).save(root / "depth" / f"learn{number}.png")
        Image.fromarray(labels).save(root / "label" / f"learn{number}.png")
    np.savetxt(root / "camera-intrinsics.txt", DEPTH_K)
    return root


def square(matrix: np.ndarray) -> np.ndarray:
    """4 x 4, as ScanNet writes intrinsics."""
    result = np.eye(4)
    result[: len(matrix), : len(matrix)] = matrix
    return result


def write_scan(root: Path, name: str, frames: int = 51, *, export: bool = True, sens: bool = False) -> Path:
    """A scan in ScanNet's layout: mesh, labels, objects; frame 25 lost its pose, frame 50 has no depth."""
    folder = root / "scans" / name
    folder.mkdir(parents=True, exist_ok=True)
    if export:
        write_export(folder, frames)
    if sens:
        (folder / f"{name}.sens").write_bytes(sens_bytes(frames))
    write_mesh(folder)
    (root / "scannetv2-labels.combined.tsv").write_text(TABLE)
    return folder


def recorded(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, colour and pose of a frame of a scan."""
    raw, color = frame(number)
    return raw * (number != 50), color, LOST if number == 25 else pose(number)


def write_export(folder: Path, frames: int) -> None:
    for part in ("color", "depth", "pose", "intrinsic"):
        (folder / part).mkdir(exist_ok=True)
    for number in range(0, frames, 5):
        raw, color, world = recorded(number)
        Image.fromarray(raw.astype(np.uint16)).save(folder / "depth" / f"{number}.png")
        Image.fromarray(color).save(folder / "color" / f"{number}.jpg", quality=98, subsampling=0)
        np.savetxt(folder / "pose" / f"{number}.txt", world, fmt="%f")
    for part, K, to_base in (("color", COLOR_K, np.eye(4)), ("depth", DEPTH_K, COLOR_FROM_DEPTH)):
        np.savetxt(folder / "intrinsic" / f"intrinsic_{part}.txt", square(K), fmt="%f")
        np.savetxt(folder / "intrinsic" / f"extrinsic_{part}.txt", to_base, fmt="%f")


def sens_bytes(frames: int, version: int = 4, compression: tuple[int, int] = (2, 1)) -> bytes:
    """A stream; written from the description of the format, apart from the reader."""
    out = [struct.pack("<IQ", version, 11), b"StructureIO"]
    for matrix in (square(COLOR_K), np.eye(4), square(DEPTH_K), COLOR_FROM_DEPTH):
        out.append(matrix.astype("<f4").tobytes())
    out.append(struct.pack("<ii", *compression))
    out.append(struct.pack("<4I", COLOR_SIZE[1], COLOR_SIZE[0], DEPTH_SIZE[1], DEPTH_SIZE[0]))
    out.append(struct.pack("<fQ", 1000.0, frames))
    for number in range(frames):
        raw, color, world = recorded(number)
        depth = raw.astype("<u2").tobytes()
        depth = zlib.compress(depth) if compression[1] == 1 else depth
        file = BytesIO()
        if compression[0] == 0:
            file.write(color.tobytes())
        elif compression[0] == 1:
            Image.fromarray(color).save(file, "png")
        else:
            Image.fromarray(color).save(file, "jpeg", quality=98, subsampling=0)
        out.append(world.astype("<f4").tobytes() + struct.pack("<4Q", 7, 8, file.tell(), len(depth)))
        out.append(file.getvalue() + depth)
    return b"".join([*out, struct.pack("<Q", 0)])


# Squares of four vertices and two triangles: NYU40 id, category, lower corner, two edges.
SURFACES = (
    (2, "floor", (0, 0, 0), (4, 0, 0), (0, 3, 0)),
    (5, "office chair", (1, 1, 0.5), (0.5, 0, 0), (0, 0.5, 0)),
    (5, "office chair", (1, 1, 0.5), (0, 0.5, 0), (0, 0, 0.4)),  # its back, another segment of the same object
    (7, "table", (2, 2, 0.7), (1, 0, 0), (0, 0.8, 0)),
    (40, "mystery", (3, 0, 1), (0.2, 0, 0), (0, 0, 0.2)),
    (50, None, (3, 1, 1), (0.2, 0, 0), (0, 0, 0.2)),
)
GROUPS = (("floor", (100,)), ("office chair", (101, 102)), ("table", (103,)), ("mystery", (104,)))
TABLE = (
    "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\n"
    "1\twall\twall\t8277\t1\t12\n"
    "3\tfloor\tfloor\t1553\t2\t5\n"
    "10\toffice chair\toffice chair\t595\t5\t4\n"
    "4\ttable\ttable\t1170\t7\t10\n"
    '900\t"odd quote\todd\t1\t40\t7\n'
)
ALIGNMENT = np.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 0.1], [0, 0, 0, 1]])


def mesh_points() -> np.ndarray:
    rows = []
    for _, _, corner, a, b in SURFACES:
        c, a, b = np.array(corner), np.array(a), np.array(b)
        rows += [c, c + a, c + a + b, c + b]
    return np.array(rows, dtype=np.float64)


def write_mesh(folder: Path) -> None:
    points, name = mesh_points(), folder.name
    columns = [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("red", "u1"),
        ("green", "u1"),
        ("blue", "u1"),
        ("alpha", "u1"),
    ]
    vertices = np.zeros(len(points), columns)
    for axis, key in enumerate("xyz"):
        vertices[key] = points[:, axis]
    vertices["red"], vertices["alpha"] = np.arange(len(points)), 255
    faces = np.zeros(2 * len(SURFACES), [("n", "u1"), ("i", "<i4", (3,))])
    faces["n"] = 3
    faces["i"] = [np.array(t) + 4 * s for s in range(len(SURFACES)) for t in ((0, 1, 2), (0, 2, 3))]
    write_ply(folder / f"{name}_vh_clean_2.ply", vertices, faces)
    labelled = np.zeros(len(points), [*columns, ("label", "<u2")])
    for key, _ in columns:
        labelled[key] = vertices[key]
    labelled["label"] = np.repeat([surface[0] for surface in SURFACES], 4)
    write_ply(folder / f"{name}_vh_clean_2.labels.ply", labelled, faces)
    segments = np.repeat(np.arange(100, 100 + len(SURFACES)), 4).tolist()
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments}))
    groups = [{"id": i, "objectId": i, "segments": s, "label": label} for i, (label, s) in enumerate(GROUPS)]
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    row = " ".join(f"{value:f}" for value in ALIGNMENT.ravel())
    (folder / f"{name}.txt").write_text(f"axisAlignment = {row} \ncolorHeight = 60\n")


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    types = {"<f4": "float", "|u1": "uchar", "<u2": "ushort"}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {types[vertices.dtype[name].str]} {name}" for name in vertices.dtype.names]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    path.write_bytes("\n".join(lines).encode() + vertices.tobytes() + faces.tobytes())
