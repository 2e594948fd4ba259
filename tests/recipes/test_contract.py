"""Every shipped recipe: on miniature data, with the smallest teacher and a narrow student, it is built and steps twice.

At full width the recipes of the papers are rehearsed in ``tests/test_paper_recipes.py``, slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointlift import recipe
from pointlift.commands.rehearse import dry_run
from pointlift.recipe import Recipe
from tests.datasets.miniatures import MINIATURES
from tests.teachers.smallest import SMALLEST

Options = dict[str, Any]
NARROW: dict[str, Options] = {
    "minkunet14": {"width": 0.1, "voxel_size": 1.0},
    "minkunet34": {"width": 0.1, "voxel_size": 1.0},
    "point_transformer": {"size": "tiny", "points": 64, "groups": 8, "group_size": 8},
}
"""Options of every student that a shipped recipe has."""
FEW: dict[str, Options] = {
    "point_pixel": {"pairs_per_scene": 32},
    "concept": {"concept_tokens": 3},
}
"""Options of every method that a shipped recipe has."""
OWN_CAMERAS: dict[str, Options] = {"rgbd": {"stride": 1, "color_intrinsics": None, "color_from_depth": None}}
"""Where a recipe knows the cameras of real data, the miniature has others."""
SHORT: Options = {"batch_size": 2, "warmup_steps": 0, "warmup_epochs": None, "workers": 0, "threads": 1}


class Miniature:
    """Data sets and teachers by name, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, {}  # type: ignore[var-annotated]

    def _once(self, kind: str, name: str, make: Callable[[Path], Any]) -> Any:
        if (kind, name) not in self._made:
            folder = self._folder / kind / name
            folder.mkdir(parents=True)
            self._made[kind, name] = make(folder)
        return self._made[kind, name]

    def data(self, whole: Recipe) -> Options:
        """Of the recipe's data set, the miniature of its kind if there are several."""
        values = whole.to_dict()["data"]
        cases = self._once("data", values["name"], MINIATURES[values["name"]])
        return min(cases, key=lambda one: one.get("kind") != values.get("kind")) | OWN_CAMERAS.get(values["name"], {})

    def teacher(self, whole: Recipe) -> Options:
        if whole.teacher.name == "labelmaps":  # its files belong to the data's images
            write_label_maps(Path(self.data(whole)["root"]))
            return {}
        options = self._once("teacher", whole.teacher.name, SMALLEST[whole.teacher.name])
        return options | ({"layer": 1} if whole.teacher.name == "dinov2" else {})


def write_label_maps(root: Path) -> None:
    """A map of Cityscapes' ids beside every image of a SemanticKITTI."""
    for path in root.rglob("image_2/*.png"):
        target = path.parent.parent / "image_2_cityscapes19" / path.name
        target.parent.mkdir(exist_ok=True)
        ids = np.random.default_rng(0).choice([0, 1, 8, 13], Image.open(path).size[::-1]).astype(np.uint8)
        Image.fromarray(ids).save(target)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    return Miniature(tmp_path_factory.mktemp("miniature"))


def small(whole: Recipe, miniature: Miniature) -> dict[str, Any]:
    """Overrides of places and sizes, and nothing else."""
    sections = {
        "data": miniature.data(whole),
        "teacher": miniature.teacher(whole),
        "student": NARROW[whole.student.name],
        "method": FEW[whole.method.name],
        "training": SHORT,
    }
    return {f"{section}.{key}": value for section, options in sections.items() for key, value in options.items()}


@pytest.mark.parametrize("name", recipe.shipped())
def test_a_recipe_is_built_and_steps_twice(name: str, miniature: Miniature) -> None:
    whole = recipe.load(name, {"data.root": "anywhere"})
    result = dry_run(recipe.load(name, small(whole, miniature)), cpu=True)
    assert result["recipe"] == name
    assert math.isfinite(result["loss"])
    assert result["parameters"]["student"] > 0
    if whole.training.epochs is None:
        assert result["steps"] == whole.training.steps
    else:
        assert result["epochs"] == pytest.approx(whole.training.epochs, rel=0.05)
