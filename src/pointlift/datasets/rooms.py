"""The embedded indoor data set: furnished rooms that pointlift makes itself, as RGB-D frames and as whole clouds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pointlift.data.dataset import Dataset, LabelKind
from pointlift.data.options import cache_folder, image_sides, one_of, within
from pointlift.data.scene import Scene, View
from pointlift.options import DATA_ROOT, LOCAL
from pointlift.progress import Progress
from pointlift.registry import DATASETS
from pointlift.worlds.engine.workers import make_missing
from pointlift.worlds.rooms import frames
from pointlift.worlds.rooms.classes import BOX_NAMES, CLASSES, NAMES
from pointlift.worlds.rooms.frames import GENERATOR_VERSION, VIEW, FrameSpec
from pointlift.worlds.rooms.path import MOMENTS
from pointlift.worlds.rooms.world import KINDS

SPLITS = {"train": (60, 8), "val": (12, 4), "test": (12, 4)}
"""Default number of rooms and of frames of each."""
MOST_ROOMS = 10_000
_DIGITS = (8, 8, MOST_ROOMS)  # of splits, kinds and numbers in the seed of a room; more may come

Pixels = Annotated[int, Field(ge=16, le=4096)]


@DATASETS.register("rooms")
class Rooms(Dataset):
    """Furnished rooms made by the package itself: no download, the same for the same options, kept in a cache folder.

    A room is a living room, bedroom, office, kitchen or bathroom of its own: furniture of the 18 detection classes of
    ScanNet, walls and floor (ceilings and clutter are ignored), made of triangles, lit by a lamp or by daylight. A
    hand-held RGB-D camera goes around in it; its depth image has noise and holes and is registered to the colours.

    With ``kind="frames"`` a scene is one RGB-D frame: what its depth image measures, in the camera's frame (x right, y
    down, z forward; metres), and the image as its only view. With ``kind="scenes"`` it is a whole room: points on all
    surfaces that are seen from the camera's path, in the room's frame (z up), with boxes, and the frames as views.
    Features are red, green and blue in [0, 1]. Depth images are 16-bit PNGs of millimetres, 0 where nothing is
    measured.

    Frames are made when they are first asked for, or all at once in parallel by `prepare`; opening makes nothing. A
    frame that is damaged in the cache is made again, with a warning that names the file. The same options give the
    same bytes on one machine; between machines, and with or without embreex, rounding may differ.

    The rooms of different splits, and of different seeds, are never the same. A frame does not depend on how many
    others are asked for.

    Args:
        root: the cache folder; None is ``~/.cache/pointlift/rooms``.
        split: train, val or test.
        kind: frames or scenes.
        seed: of the rooms and all that is in them; from 0 to 99999.
        rooms: number of rooms; by default 60 (train) or 12 (val, test).
        frames: per room, at most 16, spread over the camera's path; by default 8 (train) or 4 (val, test).
        room: mixed (all kinds of room in turn), or living, bedroom, office, kitchen or bathroom.
        points: of the cloud of a whole room.
        image_size: height, width; the horizontal field of view is 66 degrees.
        workers: processes in which `prepare` makes frames; 0: in this one; None: one per core.

    Raises:
        DataError: an option that means nothing, a root that cannot be written, or no room on the disk.
    """

    name = "rooms"
    class_names = NAMES
    class_colors = tuple(color for _, color in CLASSES)
    box_names = BOX_NAMES
    feature_names = ("red", "green", "blue")
    subset_options = ("rooms", "frames")
    prompts: dict[str, tuple[str, ...]] = {  # noqa: RUF012
        "wall": ("wall",),
        "floor": ("floor", "ground"),
        "cabinet": ("cabinet", "cupboard", "wardrobe", "chest of drawers"),
        "bed": ("bed",),
        "chair": ("chair", "armchair", "stool"),
        "sofa": ("sofa", "couch"),
        "table": ("table", "coffee table"),
        "door": ("door",),
        "window": ("window",),
        "bookshelf": ("bookshelf", "bookcase"),
        "picture": ("picture", "painting"),
        "counter": ("counter", "worktop"),
        "desk": ("desk",),
        "curtain": ("curtain", "drapes"),
        "refrigerator": ("refrigerator", "fridge"),
        "shower curtain": ("shower curtain",),
        "toilet": ("toilet",),
        "sink": ("sink", "washbasin"),
        "bathtub": ("bathtub",),
        "otherfurniture": ("other furniture", "radiator", "bin", "pouffe"),
    }

    def __init__(
        self,
        *,
        root: Annotated[Path | None, DATA_ROOT] = None,
        split: Literal["train", "val", "test"] = "train",
        kind: Literal["frames", "scenes"] = "frames",
        seed: Annotated[int, Field(ge=0, lt=100_000)] = 0,
        rooms: Annotated[int, Field(ge=1, le=MOST_ROOMS)] | None = None,
        frames: Annotated[int, Field(ge=1, le=MOMENTS)] | None = None,
        room: Literal["mixed", "living", "bedroom", "office", "kitchen", "bathroom"] = "mixed",
        points: Annotated[int, Field(ge=100, le=1_000_000)] = 40_000,
        image_size: tuple[Pixels, Pixels] = (192, 256),
        workers: Annotated[Annotated[int, Field(ge=0)] | None, LOCAL] = None,
    ) -> None:
        one_of(self.name, "split", split, SPLITS)
        one_of(self.name, "kind", kind, ("frames", "scenes"))
        one_of(self.name, "room", room, ("mixed", *KINDS))
        usual = SPLITS[split]
        self._rooms = within(self.name, "rooms", usual[0] if rooms is None else rooms, 1, MOST_ROOMS)
        self._frames = within(self.name, "frames", usual[1] if frames is None else frames, 1, MOMENTS)
        self.seed = within(self.name, "seed", seed, 0, 99_999)
        self.points = within(self.name, "points", points, 100, 1_000_000)
        self.split, self.kind, self.room = split, kind, room
        self.image_size = image_sides(self.name, image_size)
        self.workers = workers
        self.labels: frozenset[LabelKind] = frozenset({"points", "boxes"} if kind == "scenes" else {"points"})
        self.root = cache_folder(self.name, root)
        moments = [place * MOMENTS // self._frames for place in range(self._frames)]
        self._specs = [[self._spec(number, moment) for moment in moments] for number in range(self._rooms)]
        self._clouds = [self._spec(number, -1) for number in range(self._rooms)]

    def _spec(self, number: int, moment: int) -> FrameSpec:
        """Of a frame, or, with moment -1, of the cloud of a room."""
        kind = KINDS[number % len(KINDS)] if self.room == "mixed" else self.room
        height, width = self.image_size
        what = f"cloud-{self.points}" if moment < 0 else f"{height}x{width}-{moment:04d}"
        return FrameSpec(
            folder=self.root / f"v{GENERATOR_VERSION}-{self.split}-seed{self.seed}" / f"{kind}-{number:04d}" / what,
            kind=kind,
            room_seed=_room_seed(self.seed, self.split, kind, number),
            moment=moment,
            image_size=(0, 0) if moment < 0 else self.image_size,
            points=self.points if moment < 0 else 0,
        )

    def _frame(self, index: int) -> FrameSpec:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._specs[index % len(self) // self._frames][index % self._frames]

    def _views_of(self, room: int) -> dict[str, FrameSpec]:
        return {f"{spec.moment:04d}": spec for spec in self._specs[room]}

    @property
    def ids(self) -> list[str]:
        """The id of every scene: the room, and of a frame its moment on the camera's path."""
        rooms = [spec.folder.parent.name for spec in self._clouds]
        if self.kind == "scenes":
            return rooms
        return [f"{name}/{spec.moment:04d}" for name, specs in zip(rooms, self._specs, strict=True) for spec in specs]

    def __len__(self) -> int:
        return self._rooms * (1 if self.kind == "scenes" else self._frames)

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        name = self.ids[index]
        if self.kind == "scenes":
            return frames.read_room(self._clouds[index], self._views_of(index), name).validate()
        return frames.read_frame(self._frame(index), name).validate()

    def views(self, index: int) -> list[View]:
        """The views of scene ``index``, without reading its points."""
        if self.kind == "scenes":
            return frames.room_views(self._views_of(index))
        return [frames.read(self._frame(index)).view]

    def pose(self, index: int) -> np.ndarray:
        """Room from points (4, 4) of scene ``index``: of a frame the camera's pose, of a whole room the identity."""
        if self.kind == "scenes":
            return np.eye(4)
        return frames.read(self._frame(index)).pose

    def label_image(self, index: int, view: str = VIEW) -> np.ndarray:
        """Class (H, W) int64 of what each pixel of a view of scene ``index`` shows, -1 for what is ignored."""
        views = {one.name: one for one in self.views(index)}
        one_of(self.name, "view", view, list(views))
        return frames.label_image(views[view])

    def prepare(self, progress: Progress | None = None) -> dict[str, Any]:
        """Make all frames that are not in the cache yet, and the clouds of whole rooms; see `make_missing`."""
        clouds = [[spec] if self.kind == "scenes" else [] for spec in self._clouds]
        wanted = [spec for cloud, specs in zip(clouds, self._specs, strict=True) for spec in cloud + specs]
        return make_missing(wanted, self.root, self.workers, "rooms", progress)


def _room_seed(seed: int, split: str, kind: str, number: int) -> int:
    """A number of its own for each room: its parts are digits of it."""
    parts = list(SPLITS).index(split), KINDS.index(kind), number
    for value, count in zip(parts, _DIGITS, strict=True):
        seed = seed * count + value
    return seed
