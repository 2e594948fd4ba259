"""One object of the data set: made, written to the cache, verified and read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pointlift.data import camera
from pointlift.data.formats.mesh import Mesh
from pointlift.data.scene import Scene, View
from pointlift.files import read_bytes
from pointlift.worlds.engine import cache as generated
from pointlift.worlds.engine import images
from pointlift.worlds.engine.cache import Contents
from pointlift.worlds.engine.cameras import render_view
from pointlift.worlds.engine.images import depth_image, label_image
from pointlift.worlds.engine.rays import Caster
from pointlift.worlds.shapes import catalogue
from pointlift.worlds.shapes.studio import studio

__all__ = ["FrameSpec", "cut_out", "depth_image", "label_image", "mesh_file", "read_frame", "read_mesh", "read_views"]

GENERATOR_VERSION = 1
"""Raised whenever the same options give other objects, so that none from before is taken for a new one."""
_MESH = "object.safetensors"


@dataclass(frozen=True)
class FrameSpec(generated.Spec):
    """All that determines an object and its views, and the folder that holds them.

    Args:
        folder: of this object alone.
        category: one of `catalogue.CATEGORIES`.
        seed: of the object and its studio.
        views: number of cameras.
        image_size: (height, width).
    """

    category: str
    seed: int
    views: int
    image_size: tuple[int, int]

    @property
    def version(self) -> int:
        """See `GENERATOR_VERSION`."""
        return GENERATOR_VERSION

    @property
    def group(self) -> str:
        """Objects that a process is given together; nothing is shared between them."""
        return self.category

    @property
    def bytes(self) -> int:
        """About how much an object takes on disk, rather too much than too little."""
        height, width = self.image_size
        return self.views * (height * width * 5 + 1000) + 120_000

    def contents(self) -> Contents:
        """Generate the files."""
        return _contents(self)


def read_views(spec: FrameSpec) -> list[View]:
    """The views, made first if the object is not in the cache, and again (with a warning) if it is damaged there."""
    return images.views_of(generated.read(spec), spec.folder)


def read_mesh(spec: FrameSpec) -> tuple[Mesh, np.ndarray]:
    """The triangles and the part of each, (F,) int64; the object must be in the cache (see `read_views`)."""
    tensors = load_tensors(read_bytes(spec.folder / _MESH))
    mesh = Mesh(tensors["vertices"].astype(np.float64), tensors["faces"].astype(np.int64))
    return mesh, tensors["parts"].astype(np.int64)


def read_frame(view: View, *, id: str, object_class: int) -> Scene:
    """What the depth image of a view shows of the object, in the camera's frame, with colours and parts; no views."""
    depth = depth_image(view)
    shown = depth > 0
    return Scene(
        points=camera.back_project(depth, view.intrinsics)[shown].astype(np.float32),
        features=view.image[shown].astype(np.float32) / 255,
        labels=label_image(view)[shown],
        id=id,
        object_class=object_class,
        up_axis="-y",
        files=dict.fromkeys(("points", "features", "labels"), Path(f"{view.depth}")),
    )


def cut_out(view: View) -> View:
    """The view with white beside the object."""
    return replace(view, source=np.where(depth_image(view)[..., None] > 0, view.image, np.uint8(255)))


def mesh_file(spec: FrameSpec) -> Path:
    """The file of the triangles, for messages."""
    return spec.folder / _MESH


def _contents(spec: FrameSpec) -> Contents:
    form, materials = catalogue.build(spec.category, np.random.default_rng([spec.seed, 0]))
    # the mesh as it is stored is the one that is rendered
    form = form._replace(vertices=form.vertices.astype(np.float32).astype(np.float64))
    tensors: dict[str, np.ndarray] = {
        "vertices": form.vertices.astype(np.float32),
        "faces": form.faces.astype(np.int32),
        "parts": form.part_of.astype(np.int8),
    }
    contents: dict[str, bytes] = {_MESH: save_tensors(tensors)}
    views: dict[str, Any] = {}
    if spec.views:
        place = studio(form, materials, np.random.default_rng([spec.seed, 1]), spec.views, spec.image_size)
        caster = Caster(place.world.vertices, place.world.faces)
        for number, camera in enumerate(place.cameras):
            noise = np.random.default_rng([spec.seed, 2, number])
            contents |= images.pictures(camera.name, render_view(place.world, caster, camera, noise))
            views[camera.name] = images.calibration(camera, camera.camera_from_points())
    return contents, {"views": views}
