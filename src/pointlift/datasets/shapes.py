"""The embedded object clouds: objects that pointlift makes itself, with parts and rendered views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset
from pointlift.data.formats.mesh import sample_surface
from pointlift.data.objects import NORMALS, object_scene
from pointlift.data.options import cache_folder, image_sides, one_of, within
from pointlift.data.scene import Scene, View
from pointlift.errors import DataError
from pointlift.options import DATA_ROOT, LOCAL
from pointlift.progress import Progress
from pointlift.registry import DATASETS
from pointlift.worlds.engine.workers import make_missing
from pointlift.worlds.shapes import frames
from pointlift.worlds.shapes.catalogue import CATEGORIES, PARTS, PARTS_OF
from pointlift.worlds.shapes.frames import GENERATOR_VERSION, FrameSpec

SPLITS = {"train": 40, "val": 10, "test": 20}
"""Default number of objects of each category."""
MOST_OBJECTS = 10_000
COLORS = ("red", "green", "blue")
_MOST_POINTS = 1_000_000
_HUES = ((230, 70, 60), (60, 150, 70), (70, 110, 230), (235, 180, 50))

Pixels = Annotated[int, Field(ge=16, le=4096)]


@DATASETS.register("shapes")
class Shapes(Dataset):
    """Objects of 16 categories made by the package itself: no download, the same for the same options, kept in a cache.

    Aeroplanes, beds, bookshelves, bottles, cabinets, cars, chairs, guitars, lamps, laptops, monitors, mugs, sofas,
    stools, tables and vases are put together from parts (50 of them) whose number, form, size and place are drawn;
    categories overlap, as easy chairs and small sofas, stools and side tables, or bottles and vases do. Points are
    drawn evenly over the surface. Objects have their front along x and z up, and lie in the unit sphere around the
    middle of their bounding box, as in ShapeNet sizes are not kept. Views are ray-cast with texture, light and shadow
    on a floor or before a plain backdrop, from all round; their calibration is exact. Depth images are 16-bit PNGs of
    the points' unit times 256, 0 beside the object.

    With ``kind="objects"`` a scene is a whole object and all its views. With ``kind="frames"`` it is one view: what its
    depth image shows of the object, in the camera's frame (x right, y down, z forward), with red, green and blue in
    [0, 1] as features, and the image as its only view.

    Objects are made when they are first asked for, or all at once in parallel by `prepare`; opening makes nothing. An
    object that is damaged in the cache is made again, with a warning that names the file. The same options give the
    same bytes on one machine; between machines, images may differ by rounding, as those of ``street``. Objects of
    different splits, and of different seeds, are never the same, and none depends on how many others are asked for.

    Args:
        root: the cache folder; None is ``~/.cache/pointlift/shapes``.
        split: train, val or test.
        kind: objects or frames.
        seed: of the objects and their views; from 0 to 99999.
        objects: of each category; by default 40 (train), 10 (val) or 20 (test).
        categories: only these; None is all 16. Classes keep their numbers.
        points: of each whole object.
        normals: give the normals of a whole object's surface as features nx, ny, nz.
        yaw: aligned, or random: each whole object is turned about z by an angle of its own.
        views: cameras around each object; 0 makes clouds only, in a fraction of the time.
        image_size: height, width.
        background: False: images are white beside the object.
        workers: processes in which `prepare` makes objects; 0: in this one; None: one per core.

    Raises:
        DataError: an option that means nothing, a root that cannot be written, or no room on the disk.
    """

    name = "shapes"
    class_names = tuple(f"{category} {part}" for category, part in PARTS)
    class_colors = tuple(_HUES[label - PARTS_OF[category][0]] for label, (category, _) in enumerate(PARTS))
    object_names = CATEGORIES
    parts_of = PARTS_OF
    labels = frozenset({"points", "parts", "objects"})
    subset_options = ("objects",)

    def __init__(
        self,
        *,
        root: Annotated[Path | None, DATA_ROOT] = None,
        split: Literal["train", "val", "test"] = "train",
        kind: Literal["objects", "frames"] = "objects",
        seed: Annotated[int, Field(ge=0, lt=100_000)] = 0,
        objects: Annotated[int, Field(ge=1, le=MOST_OBJECTS)] | None = None,
        categories: tuple[str, ...] | None = None,
        points: Annotated[int, Field(ge=1, le=_MOST_POINTS)] = 4096,
        normals: bool = False,
        yaw: Literal["aligned", "random"] = "aligned",
        views: Annotated[int, Field(ge=0, le=64)] = 4,
        image_size: tuple[Pixels, Pixels] = (160, 160),
        background: bool = True,
        workers: Annotated[Annotated[int, Field(ge=0)] | None, LOCAL] = None,
    ) -> None:
        one_of(self.name, "split", split, SPLITS)
        one_of(self.name, "kind", kind, ("objects", "frames"))
        one_of(self.name, "yaw", yaw, ("aligned", "random"))
        if kind == "frames" and (normals or views == 0):
            raise DataError(
                "shapes: kind=frames has colours and a view each; it needs normals=false and views of 1 or more"
            )
        for category in categories or ():
            one_of(self.name, "categories", category, CATEGORIES)
        chosen = CATEGORIES if categories is None else tuple(name for name in CATEGORIES if name in categories)
        if not chosen:
            raise DataError("shapes: categories must name at least one category, or be left out for all")
        each = within(self.name, "objects", SPLITS[split] if objects is None else objects, 1, MOST_OBJECTS)
        self.seed = within(self.name, "seed", seed, 0, 99_999)
        self.points = within(self.name, "points", points, 1, _MOST_POINTS)
        self.split, self.kind, self.normals, self.yaw = split, kind, normals, yaw
        self.background, self.workers = background, workers
        self.feature_names = COLORS if kind == "frames" else NORMALS if normals else ()
        self._views = within(self.name, "views", views, 0, 64)
        self.image_size = image_sides(self.name, image_size)
        self.root = cache_folder(self.name, root)
        self._specs = [self._spec(category, number) for category in chosen for number in range(each)]
        self._scenes: list[tuple[FrameSpec, int | None]] = [
            (spec, view) for spec in self._specs for view in (range(views) if kind == "frames" else [None])
        ]

    def _spec(self, category: str, number: int) -> FrameSpec:
        height, width = self.image_size
        pictures = f"{self._views}-views-{height}x{width}" if self._views else "clouds"
        kind = f"v{GENERATOR_VERSION}-{self.split}-seed{self.seed}-{pictures}"
        return FrameSpec(
            folder=self.root / kind / category / f"{number:04d}",
            category=category,
            seed=_object_seed(self.seed, self.split, category, number),
            views=self._views,
            image_size=self.image_size,
        )

    @property
    def ids(self) -> list[str]:
        """The id of every scene: the category, the number of the object, and of a frame its view."""
        return [_id(*scene) for scene in self._scenes]

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        spec, number = self._scenes[index]
        views = frames.read_views(spec)  # first: this makes the object
        known: dict[str, Any] = {"id": _id(spec, number), "object_class": CATEGORIES.index(spec.category)}
        scene = self._whole(spec, **known) if number is None else frames.read_frame(views[number], **known)
        return replace(scene, views=self._shown(views, spec, number)).validate()

    def _whole(self, spec: FrameSpec, **known: Any) -> Scene:
        mesh, parts = frames.read_mesh(spec)
        samples = sample_surface(mesh, self.points, np.random.default_rng([spec.seed, 3]), str(frames.mesh_file(spec)))
        turn = self._turn(spec)[:3, :3].T.astype(np.float32)
        return object_scene(
            samples.points @ turn,
            samples.normals @ turn if self.normals else None,
            path=frames.mesh_file(spec),
            up_axis="z",
            labels=parts[samples.faces],
            **known,
        )

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without its points."""
        spec, number = self._scenes[index]
        return self._shown(frames.read_views(spec), spec, number)

    def _shown(self, views: list[View], spec: FrameSpec, number: int | None) -> list[View]:
        """The views of a whole object, or the one of a frame, out of all views as they were made."""
        if number is None:
            back = np.linalg.inv(self._turn(spec))
            views = [replace(view, camera_from_points=view.camera_from_points @ back) for view in views]
        else:
            views = [replace(views[number], camera_from_points=np.eye(4))]
        return views if self.background else [frames.cut_out(view) for view in views]

    def label_image(self, index: int, view: str) -> np.ndarray:
        """Part (H, W) int64 of what each pixel of a view of scene ``index`` shows, -1 beside the object."""
        spec, number = self._scenes[index]
        views = {one.name: one for place, one in enumerate(frames.read_views(spec)) if number in (None, place)}
        one_of(self.name, "view", view, views)
        return frames.label_image(views[view])

    def _turn(self, spec: FrameSpec) -> np.ndarray:
        """(4, 4): from the object as it was made to the object as it is given."""
        matrix = np.eye(4)
        if self.yaw == "random":
            angle = np.random.default_rng([spec.seed, 4]).uniform(0, 2 * np.pi)
            matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return matrix

    def prepare(self, progress: Progress | None = None) -> dict[str, Any]:
        """Make all objects that are not in the cache yet, in parallel; see `make_missing`."""
        return make_missing(self._specs, self.root, self.workers, "objects", progress, frames=max(self._views, 1))


def _id(spec: FrameSpec, view: int | None) -> str:
    return f"{spec.category}/{spec.folder.name}" + ("" if view is None else f"/view{view}")


def _object_seed(seed: int, split: str, category: str, number: int) -> int:
    """A number of its own for each object: its parts are digits of it."""
    parts = (list(SPLITS).index(split), len(SPLITS)), (CATEGORIES.index(category), len(CATEGORIES))
    for value, count in (*parts, (number, MOST_OBJECTS)):
        seed = seed * count + value
    return seed
