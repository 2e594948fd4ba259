"""Lift what pretrained 2D image models know into 3D point-cloud networks, and measure how well it arrived."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_CALLS = ("dataset", "dry_run", "evaluate", "load", "predict", "pretrain", "student", "teacher")
_MODULES = ("losses", "report", "structure")

__all__ = [*_CALLS, "compare", *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``import pointlift`` and ``pointlift --help`` stay quick."""
    if name in _CALLS:
        return getattr(import_module("pointlift.api"), name)
    if name == "compare":  # brings the report with it, which training does not need
        return import_module("pointlift.commands.compare").compare
    if name in _MODULES:
        return import_module(f"pointlift.{name}")
    raise AttributeError(f"module 'pointlift' has no attribute '{name}'")
