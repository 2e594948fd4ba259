"""What does not keep its contract is one sentence: where it is registered, or where it was built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pointlift import plugins
from pointlift.contract import has, has_names
from pointlift.data.batch import Batch
from pointlift.data.dataset import Dataset
from pointlift.data.opening import open_by_name
from pointlift.data.scene import Scene
from pointlift.errors import PluginError, RecipeError
from pointlift.registry import DATASETS, LOSSES, METHODS, REGISTRIES, STUDENTS, TASKS, TEACHERS
from pointlift.students.base import Student, checked_student, require_answers
from pointlift.tasks.base import Task, checked_task
from pointlift.teachers.base import Teacher, checked_teacher
from pointlift.train.method import Method, trained_by
from pointlift.trial import open_task


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """What a test registers is gone after it."""
    with suppress(ZeroDivisionError), plugins.whole_or_nothing():
        yield
        raise ZeroDivisionError


class Log(Dataset):
    """A log of somebody's."""

    class_names = ("road", "car")

    def __init__(self, *, split: str = "train") -> None:
        self.split = split

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Scene:  # type: ignore[override]
        return Scene(np.zeros((3, 3), np.float32), np.zeros((3, 0), np.float32), id="0")


class Net(Student):
    """A network of somebody's."""

    def __init__(self, in_channels: int, out_channels: int, *, wrong: str = "") -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.decoder_channels = in_channels, out_channels, 4
        self.body, self.head, self.wrong = nn.Linear(3, 4), nn.Linear(4, out_channels + (wrong == "width")), wrong

    def decoder_features(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        found = self.body(batch.points)
        return found if rows is None else found[rows.flip(0) if self.wrong == "rows" else rows]


class Eye(Teacher):
    """A teacher of somebody's."""

    def __init__(self, *, lacks: str = "") -> None:
        super().__init__()
        for key, value in {"dim": 3, "stride": 2, "fingerprint": "eye"}.items():
            if key != lacks:
                setattr(self, key, value)
        self.layer = nn.Linear(1, 1)
        if lacks != "freeze":
            self.freeze()

    def _features(self, images: Tensor, views: Any) -> Tensor:
        return images[:, :, ::2, ::2]


class Step(Method):
    """A method of somebody's."""

    def __init__(self, student: Any, pixel_features: Any, loss: Any, points: Any, image: Any, *, size: int = 1) -> None:
        super().__init__()

    def sample(self, scene: Scene, rng: np.random.Generator) -> Any:
        return scene

    def collate(self, samples: list[Any], rng: np.random.Generator) -> Any:
        return samples

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return {}


class Ask(Task):
    """A task of somebody's."""

    labels = "points"

    @classmethod
    def classes(cls, scenes: Dataset) -> tuple[str, ...]:
        return scenes.class_names

    def targets(self, scene: Scene, what: str = "scan") -> Any:
        return scene.labels

    def metric(self) -> Any:
        return None


KINDS = {DATASETS: Log, STUDENTS: Net, TEACHERS: Eye, METHODS: Step, TASKS: Ask}


def refused(base: type, sentence: str, **members: Any) -> None:
    registry = next(one for one, kind in KINDS.items() if kind is base)
    kind = type("Mine", (base,), {"__module__": __name__, **members})
    with pytest.raises(ValueError, match=rf"the {registry.kind} 'mine' .*{sentence}"):
        registry.register("mine", "a part")(kind)
    assert "mine" not in registry.names()


def test_what_keeps_its_contract_is_registered() -> None:
    for registry, kind in KINDS.items():
        registry.register("mine")(kind)
        assert registry.get("mine").factory is kind


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda one: one.kind)
def test_every_kind_asks_for_the_type_of_an_option(registry: Any) -> None:
    class Untyped:
        def __init__(self, *, size=3) -> None: ...

    with pytest.raises(ValueError, match="must say of which type its option 'size' is"):
        registry.register("mine", "a part")(Untyped)
    with pytest.raises(ValueError, match="must be a class or a function, not 3"):
        registry.register("mine", "a part")(3)


def constructor(*arguments: str) -> Callable[..., None]:
    space: dict[str, Any] = {}
    exec(f"def __init__(self, {', '.join(arguments)}) -> None: ...", space)
    return space["__init__"]


@pytest.mark.parametrize("base", KINDS.values(), ids=lambda one: one.__name__)
def test_a_constructor_that_nobody_calls_like_that(base: type) -> None:
    refused(base, "must be built with", __init__=constructor("a", "b", "c", "d", "e", "f", "g"))


@pytest.mark.parametrize("base", [Net, Step, Ask])
def test_a_constructor_without_the_wiring(base: type) -> None:
    refused(base, "must be built with", __init__=constructor("*", "size: int = 1"))


@pytest.mark.parametrize(
    ("base", "members", "sentence"),
    [
        (Log, {"subset_options": property(lambda self: ())}, "plain value as 'subset_options' of its class"),
        (Log, {"subset_options": "step"}, "plain value as 'subset_options'"),
        (Log, {"subset_options": ("step",)}, "names 'step' in 'subset_options', which is no option"),
        (Log, {"name": property(lambda self: "log")}, "plain value as 'name'"),
        (Log, {"settings": cached_property(lambda self: {})}, "plain value as 'settings'"),
        (Net, {"loads": property(lambda self: ())}, "plain value as 'loads'"),
        (Net, {"loads": ("weights",)}, "names 'weights' in 'loads'"),
        (Net, {"has_patches": property(lambda self: True)}, "plain value as 'has_patches'"),
        (Eye, {"embed_text": lambda self, prompts: None}, "must say has_text = True"),
        (Eye, {"has_text": True}, "must implement embed_text"),
        (Eye, {"token_shape": (2, 3)}, "must implement tokens"),
        (Step, {"trains": lambda self: "points"}, "must have 'trains' as a @classmethod"),
        (Step, {"sees": classmethod(lambda cls: (1.0, None))}, "must take every option by its name"),
        (Step, {"attends": classmethod(lambda cls, other: True)}, "must take every option by its name"),
        (Ask, {"classes": lambda self, scenes: ()}, "must have 'classes' as a @classmethod"),
        (Ask, {"labels": "colours"}, "has 'colours' as 'labels', which must be one of 'points'"),
        (Ask, {"rows": "boxes"}, "has 'boxes' as 'rows'"),
    ],
)
def test_what_a_class_says_of_itself(base: type, members: dict[str, Any], sentence: str) -> None:
    refused(base, sentence, **members)


@pytest.mark.parametrize(
    ("registry", "base", "lacking"),
    [
        (DATASETS, Dataset, "__getitem__ and __len__"),
        (STUDENTS, Student, "decoder_features"),
        (TEACHERS, Teacher, "_features"),
        (METHODS, Method, "sample and collate and forward"),
        (TASKS, Task, "classes and targets and metric and labels"),
    ],
)
def test_what_nobody_implemented(registry: Any, base: type, lacking: str) -> None:
    with pytest.raises(ValueError, match=f"must (define|implement) {lacking}"):
        registry.register("mine", "a part")(type("Mine", (base,), {}))
    with pytest.raises(ValueError, match="must be a class derived from pointlift"):
        registry.register("mine", "a part")(type("Mine", (), {}))


def test_what_is_fixed_must_be_an_argument_and_a_name_is_no_option() -> None:
    with pytest.raises(ValueError, match="fixes 'steps', which is no keyword-only argument"):
        DATASETS.register("mine", fixed={"steps": 3})(Log)
    refused(Log, "must not call an option 'name'", __init__=constructor("*", "name: str = 'a'"))


@pytest.mark.parametrize("annotation", ["Absent", "np.ndarray", "int |"])
def test_an_annotation_that_cannot_be_read_is_one_sentence(annotation: str) -> None:
    def loss(student: Tensor, teacher: Tensor, normalize: bool = True, *, size: Any = 1) -> Tensor:
        """A loss."""
        return student

    loss.__annotations__["size"] = annotation
    LOSSES.register("mine", scope="batch")(loss)
    with pytest.raises(PluginError, match="the options of the loss 'mine' cannot be read from its signature: "):
        LOSSES.options("mine")


def test_names_come_from_the_registry() -> None:
    for name in ("first", "second"):
        DATASETS.register(name)(Log)
        TASKS.register(name)(Ask)
    assert open_by_name("first").name == "first"
    second = open_by_name("second")
    assert (second.name, open_task("second", second).name, open_task("first", second).name) == (
        "second",
        "second",
        "first",
    )


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("labels", frozenset({"pixels"}), "as 'labels', which must be a set of kinds among 'points'"),
        ("labels", "points", "as 'labels', which must be a set"),
        ("class_names", "road", "must have several names as 'class_names'"),
        ("feature_names", None, "must have several names as 'feature_names'"),
        ("class_colors", ((1, 2, 3),), "has 1 class_colors for 2 class_names"),
        ("prompts", {"tree": ("tree",)}, "has prompts for 'tree', which is none of its class_names"),
        ("min_depth", "1 m", "as 'min_depth', which must be int or float"),
    ],
)
def test_a_data_set_that_was_opened(key: str, value: Any, sentence: str) -> None:
    DATASETS.register("mine")(type("Mine", (Log,), {"__module__": __name__, key: value}))
    with pytest.raises(PluginError, match=f"the data set 'mine' .*{sentence}"):
        open_by_name("mine")


def test_what_depends_on_how_it_is_opened_is_no_usual_colour() -> None:
    names, colors = ("road", "car"), ((1, 2, 3), (4, 5, 6))
    kinds = [
        type("Mine", (Log,), {"class_colors": colors}),
        type("Mine", (Log,), {"class_colors": colors, "class_names": property(lambda self: names)}),
        type("Mine", (Log,), {"class_colors": cached_property(lambda self: colors)}),
        Log,
    ]
    assert [kind.usual_colors() for kind in kinds] == [dict(zip(names, colors, strict=True)), {}, {}, {}]


@pytest.mark.parametrize("lacks", ["in_channels", "out_channels", "decoder_channels", "head"])
def test_a_student_that_does_not_say_its_shape(lacks: str) -> None:
    student = Net(2, 3)
    delattr(student, lacks)
    with pytest.raises(PluginError, match=f"the student 'mine' does not set '{lacks}'"):
        checked_student(student, "mine", 2, 3)


def test_a_student_of_another_shape() -> None:
    assert checked_student(Net(2, 3), "mine", 2, 3).head.out_features == 3
    with pytest.raises(PluginError, match="was built with 1 as in_channels, but says 2"):
        checked_student(Net(2, 3), "mine", 1, 3)


class Elsewhere(Net):
    def forward(self, batch: Batch, rows: Tensor | None = None) -> Tensor:
        return self.head(self.decoder_features(batch, rows)) ** 2


class NoRows(Net):
    def decoder_features(self, batch: Batch) -> Tensor:  # type: ignore[override]
        return self.body(batch.points)


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        (Net(1, 3, wrong="width"), r"its output must be of the shape \(64, 3\), and is \(64, 4\)"),
        (Net(1, 3, wrong="rows"), "its output for rows is not that of the same points"),
        (Elsewhere(1, 3), "its output is not what its head makes of decoder_features"),
        (NoRows(1, 3), "cannot be asked for the features of 64 points: TypeError"),
    ],
)
def test_a_student_that_answers_otherwise(student: Student, sentence: str) -> None:
    right, state = Net(1, 3), torch.get_rng_state()
    require_answers(right, "mine")
    with pytest.raises(PluginError, match=f"the student 'mine'.*{sentence}"):
        require_answers(student, "mine")
    assert student.training
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("lacks", ["dim", "stride", "fingerprint"])
def test_a_teacher_that_does_not_say_what_it_is(lacks: str) -> None:
    assert checked_teacher(Eye(), "mine").dim == 3
    with pytest.raises(PluginError, match=f"the teacher 'mine' does not set '{lacks}'"):
        checked_teacher(Eye(lacks=lacks), "mine")


def test_a_teacher_that_forgets_something() -> None:
    class Tokens(Eye):
        def tokens(self, images: Tensor, views: Any = None) -> Tensor:
            return images

    class Maps(Eye):
        map_channels: ClassVar[int] = 2  # type: ignore[assignment]

    for teacher, sentence in ((Tokens(), "must set token_shape"), (Maps(), "must implement lift")):
        with pytest.raises(PluginError, match=sentence):
            checked_teacher(teacher, "mine")
    with pytest.raises(PluginError, match="is not frozen"):
        checked_teacher(Eye(lacks="freeze"), "mine")


def test_a_method_that_trains_something_else_and_a_task_without_classes() -> None:
    kind = type("Mine", (Step,), {"trains": classmethod(lambda cls, **options: "boxes")})
    METHODS.register("mine", "a part")(kind)
    with pytest.raises(PluginError, match="the method 'mine' says that it trains 'boxes'"):
        trained_by(METHODS.get("mine"), {"size": 1})
    with pytest.raises(PluginError, match="the task 'mine' must have several names as 'class_names'.*it is not set"):
        checked_task(type("Mine", (Ask,), {"__init__": lambda self, scenes: None})(Log()), "mine")


def test_built_things_are_asked_in_one_way() -> None:
    has("it", Log(), name=str)
    has_names("it", Log(), "class_names")
    with pytest.raises(PluginError, match="it has True as 'flag', which must be int"):
        has("it", type("Flag", (), {"flag": True}), flag=int)
    with pytest.raises(RecipeError, match="there is no data set called 'gone'"):
        open_by_name("gone")
