"""Import of the transformers library where torchvision is missing or broken."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any


def import_transformers() -> ModuleType:
    """The transformers library, usable although an installed torchvision may fail to import.

    transformers imports torchvision wherever it finds it installed, so one built for another torch breaks even
    networks that never use it. Only such a broken one is hidden, and only while transformers looks for it.
    """
    if not _torchvision_is_broken():
        return importlib.import_module("transformers")
    sys.modules["torchvision"] = None  # type: ignore[assignment]  # to the import system: there is no such module
    try:
        transformers = importlib.import_module("transformers")
        _forget_torchvision(importlib.import_module("transformers.utils.import_utils"))
    finally:
        sys.modules.pop("torchvision", None)
    return transformers


def _torchvision_is_broken() -> bool:
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return False
    try:
        importlib.import_module("torchvision")
    except Exception:  # a mismatched build raises RuntimeError, OSError, ImportError or AttributeError
        return True
    return False


def _forget_torchvision(import_utils: Any) -> None:
    """Let transformers look for torchvision again while it is hidden; the answer "absent" then stays in its cache."""
    for name in ("is_torchvision_available", "is_torchvision_v2_available"):
        function: Any = getattr(import_utils, name, None)
        if hasattr(function, "cache_clear"):
            function.cache_clear()
            function()
    if hasattr(import_utils, "_torchvision_available"):  # before version 5: a constant
        import_utils._torchvision_available = False
