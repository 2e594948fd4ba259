"""Parts from outside: modules that register what they bring when they are imported.

They are imported because a person says so (``--import``, `load`) or because they are installed with an entry point of
the group ``pointlift.plugins``, which are looked through only where a name is not known. A recipe or a run folder never
causes an import.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from pointlift.errors import PluginError, PointliftError

GROUP = "pointlift.plugins"
_log = logging.getLogger(__name__)
_loaded: list[str] = []


def load(source: str) -> ModuleType:
    """Import a plug-in: a file such as ``my_log.py``, a folder that is a package, or the name of an installed module.

    The folder of a file or package goes onto ``sys.path``, so that processes which are started with the same path
    (data-loading workers, for example) find it under the same name.

    Raises:
        PluginError: there is no such file or module, another module has its name, or it cannot be imported.
    """
    path = Path(source).expanduser()
    if source.endswith(".py") or path.is_dir():
        return _from_path(source, path.resolve())
    return _imported(source, source)


def _from_path(source: str, path: Path) -> ModuleType:
    if not path.exists():
        raise PluginError(f"--import {source}: there is no such file")
    name = path.stem
    if not name.isidentifier():
        raise PluginError(f"--import {source}: '{name}' is not a name that Python imports; use letters, digits and _")
    known = sys.modules.get(name)
    spec = known.__spec__ if known is not None else importlib.util.find_spec(name)
    file = path / "__init__.py" if path.is_dir() else path
    if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != file:
        raise PluginError(f"--import {source}: a module called '{name}' is there already ({spec.origin}); rename yours")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
        importlib.invalidate_caches()
    return _imported(name, source)


def _imported(name: str, source: str) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except PointliftError as error:
        raise PluginError(f"--import {source}: {error}") from error
    except Exception as error:  # whatever a module of somebody else raises
        raise PluginError(f"--import {source}: it cannot be imported: {type(error).__name__}: {error}") from error
    if source not in _loaded:
        _loaded.append(source)
    return module


def loaded() -> tuple[str, ...]:
    """What `load` imported in this process, in order: what another process must be given to know the same parts."""
    return tuple(_loaded)


@cache
def load_entry_points() -> None:
    """Import every installed plug-in, once in a process; one that fails is one warning and breaks nothing else."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # whatever a package of somebody else raises
            owner = "an unknown package" if entry.dist is None else entry.dist.name
            _log.warning(
                "the plug-in '%s' of %s cannot be loaded: %s: %s", entry.name, owner, type(error).__name__, error
            )
