import json
from typing import Literal

import pytest

import pointlift
from pointlift import registry
from pointlift.errors import PluginError, RecipeError
from pointlift.options import option_values
from pointlift.registry import Registry

ALL = [registry.DATASETS, registry.TEACHERS, registry.STUDENTS, registry.LOSSES, registry.METHODS, registry.PROTOCOLS]


def any_part(part: registry.Part) -> None:
    """A contract that everything keeps."""


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.kind)
def test_every_entry_has_a_summary_and_options(one: Registry) -> None:
    assert one.names()
    for name in one.names():
        assert one.summary(name)
        assert one.options(name).model_fields["name"].default == name


def test_options_are_the_keyword_only_arguments() -> None:
    fields = registry.LOSSES.options("relational").model_fields
    assert set(fields) == {"name", "diagonal_weight", "cross_weight", "intra_weight", "p"}
    assert option_values(registry.LOSSES.options("contrastive")()) == {"temperature": 0.07}


def test_a_name_is_registered_once() -> None:
    one = Registry("toy", "TOYS", "pointlift.losses", "tests.test_registry:any_part")

    @one.register("ball")
    def ball(size: int, *, colour: Literal["red", "blue"] = "red") -> str:
        """A ball."""
        return f"{size} {colour}"

    with pytest.raises(PluginError, match=r"two parts are called toy .ball.: .*test_registry.*and.*json"):
        one.register("ball")(json.loads)
    assert one.build("ball", 3, colour="blue") == "3 blue"
    with pytest.raises(RecipeError, match="there is no key 'color'; did you mean 'colour'"):
        one.build("ball", 3, color="blue")
    with pytest.raises(RecipeError, match="there is no toy called 'bal'; did you mean 'ball'"):
        one.build("bal", 3)


def test_the_front_door_has_every_call() -> None:
    for name in pointlift.__all__:
        assert getattr(pointlift, name) is not None
    assert callable(pointlift.evaluate)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pointlift.nothing
