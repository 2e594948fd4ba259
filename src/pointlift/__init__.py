"""Lift what pretrained 2D image models know into 3D point-cloud networks, and measure how well it arrived."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointlift import losses as losses
    from pointlift import report as report
    from pointlift import structure as structure
    from pointlift.api import dataset as dataset
    from pointlift.api import dry_run as dry_run
    from pointlift.api import evaluate as evaluate
    from pointlift.api import load as load
    from pointlift.api import predict as predict
    from pointlift.api import pretrain as pretrain
    from pointlift.api import student as student
    from pointlift.api import teacher as teacher
    from pointlift.commands.compare import compare as compare
    from pointlift.data import Dataset as Dataset
    from pointlift.data import Scene as Scene
    from pointlift.data import View as View
    from pointlift.data.batch import Batch as Batch
    from pointlift.data.batch import collate as collate

__version__ = "0.1.0"

_CALLS = ("dataset", "dry_run", "evaluate", "load", "predict", "pretrain", "student", "teacher")
_DATA = ("Dataset", "Scene", "View")
_BATCHES = ("Batch", "collate")
_MODULES = ("losses", "report", "structure")

__all__ = [*_CALLS, "compare", *_DATA, *_BATCHES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import pointlift`` and ``pointlift --help`` stay quick."""
    if name in _CALLS:
        return getattr(import_module("pointlift.api"), name)
    if name == "compare":  # brings the report with it, which training does not need
        return import_module("pointlift.commands.compare").compare
    if name in _DATA:
        return getattr(import_module("pointlift.data"), name)
    if name in _BATCHES:
        return getattr(import_module("pointlift.data.batch"), name)
    if name in _MODULES:
        return import_module(f"pointlift.{name}")
    raise AttributeError(f"module 'pointlift' has no attribute '{name}'")


def __dir__() -> list[str]:
    """What there is, for ``dir``, ``help`` and completion; `help` imports it all."""
    return sorted({*globals(), *__all__})
