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
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from pointlift.errors import PluginError, PointliftError

GROUP = "pointlift.plugins"
_log = logging.getLogger(__name__)
_loaded: list[str] = []
_registered: list[tuple[str, Callable[[], None]]] = []


def load(source: str) -> ModuleType:
    """Import a plug-in: a file such as ``my_log.py``, a folder that is a package, or the name of an installed module.

    What ends in ``.py`` or holds a separator is a path; any other name is a module, and a folder of that name only
    where there is no such module. The folder of a file or package goes onto ``sys.path``, so that processes which are
    started with the same path (data-loading workers, for example) find it under the same name.

    Raises:
        PluginError: there is no such file or module, another module has its name, it holds nothing to import, or it
            cannot be imported; then nothing of what it registered stays.
    """
    if not source.strip() or source.startswith("-"):
        raise PluginError(f"--import {source!r}: this names nothing; give a file or module, such as --import my_log.py")
    try:
        path = Path(source).expanduser()
        if _is_path(source) or (_spec(source) is None and path.is_dir()):
            return _from_path(source, path.resolve())
    except (OSError, RuntimeError) as error:  # a name that is too long, a home folder that is not there
        raise PluginError(f"--import {source}: {error}") from error
    if _spec(source) is None and Path(f"{source}.py").is_file():
        raise PluginError(f"--import {source}: there is no module of this name; for the file give --import {source}.py")
    return _imported(source, source)


def _is_path(source: str) -> bool:
    return source.endswith(".py") or source in (".", "..") or any(one in source for one in (os.sep, os.altsep) if one)


def _nothing_in(folder: Path | str) -> str:
    return f"the folder {folder} has no __init__.py, so importing it brings nothing; give one of its .py files"


def _spec(name: str) -> ModuleSpec | None:
    """Where a module, or the package that a dotted name begins with, is found; None if nowhere. It runs nothing."""
    first = name.partition(".")[0]
    if first in sys.modules:
        return sys.modules[first].__spec__
    return importlib.util.find_spec(first) if first else None


def _from_path(source: str, path: Path) -> ModuleType:
    if not path.exists():
        raise PluginError(f"--import {source}: there is no such file")
    path = path.parent if path.name == "__init__.py" else path
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file():
        raise PluginError(f"--import {source}: {_nothing_in(path)}")
    if file.suffix != ".py":
        raise PluginError(f"--import {source}: this is no Python file; its name must end in .py")
    name = path.name if path.is_dir() else path.stem
    if not name.isidentifier():
        raise PluginError(f"--import {source}: '{name}' is not a name that Python imports; use letters, digits and _")
    spec = _spec(name)
    origin = None if spec is None else spec.origin
    if (name in sys.modules and origin is None) or (origin is not None and Path(origin).resolve() != file):
        raise PluginError(f"--import {source}: a module called '{name}' is there already ({origin}); rename yours")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
        importlib.invalidate_caches()
    return _imported(name, source)


def _imported(name: str, source: str) -> ModuleType:
    try:
        with whole_or_nothing():
            module = importlib.import_module(name)
            spec = module.__spec__
            if spec is not None and spec.origin is None:  # a folder that Python takes for a package without content
                raise PluginError(_nothing_in(", ".join(spec.submodule_search_locations or ())))
    except PointliftError as error:
        raise PluginError(f"--import {source}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a module of somebody else raises, sys.exit included
        raise PluginError(f"--import {source}: it cannot be imported: {_in_words(error)}") from error
    if source not in _loaded:
        _loaded.append(source)
    return module


def _in_words(error: BaseException) -> str:
    """Kind and message of an error in one line."""
    if isinstance(error, SystemExit):
        return (
            f"it ends the program (sys.exit({error.code!r})), which only code under 'if __name__ == \"__main__\"' may"
        )
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")


def loaded() -> tuple[str, ...]:
    """What `load` imported in this process, in order: what another process must be given to know the same parts."""
    return tuple(_loaded)


def note(module: str, undo: Callable[[], None]) -> None:
    """Remember that a module registered something, and how that is taken back."""
    _registered.append((module, undo))


@contextmanager
def whole_or_nothing() -> Iterator[None]:
    """Whatever modules register within is taken back if it ends in an error, and these modules are imported anew.

    The package's own modules stay: they are complete, and a plug-in that imports them does not own what they bring.
    """
    before, known = len(_registered), set(sys.modules)
    try:
        yield
    except BaseException:
        for place in reversed(range(before, len(_registered))):
            module, undo = _registered[place]
            if module.split(".")[0] != "pointlift":
                undo()
                del _registered[place]
                if module not in known:
                    sys.modules.pop(module, None)
        raise


@cache
def load_entry_points() -> None:
    """Import every installed plug-in, once in a process; one that fails is one warning and breaks nothing else."""
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            with whole_or_nothing():
                entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a package of somebody else raises, sys.exit included
            owner = "an unknown package" if entry.dist is None else entry.dist.name
            _log.warning("the plug-in '%s' of %s cannot be loaded: %s", entry.name, owner, _in_words(error))
