"""What `cft.prompts` can name: pools and prompt functions, ours and those of installed packages.

Packages are asked only for a name that is neither one of ours nor a file, so that a broken one
stops the runs that use it and no others.
"""

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from axolotl_cft import hooks
from axolotl_cft.core.choice import FromColumn, FromFunction, FromPool, NoPrompts, PromptSource
from axolotl_cft.core.options import ColumnPrompts, FunctionPrompts
from axolotl_cft.core.pool import PromptFunction, PromptPool, parse_pool, read_pool
from axolotl_cft.errors import CFTError

BUILTIN_DIR = Path(__file__).parent / "pools"

OUR_PACKAGE = "axolotl-cft"


def load_source(prompts: str | ColumnPrompts | FunctionPrompts) -> PromptSource:
    """What the option `cft.prompts` names, ready to offer prompts.

    Raises:
        CFTError: a pool or function that cannot be used.
    """
    if isinstance(prompts, ColumnPrompts):
        return FromColumn(prompts.column)
    if isinstance(prompts, FunctionPrompts):
        return FromFunction(load_function(prompts.function), prompts.function)
    return NoPrompts() if prompts == "none" else FromPool(load_pool(prompts), prompts)


def builtin_pools() -> dict[str, Path]:
    """Names and files of the pools that this package brings."""
    return {path.stem: path for path in sorted(BUILTIN_DIR.glob("*.yaml"))}


def load_pool(name: str) -> PromptPool:
    """Load a pool of ours by name, a pool file by path, or a pool of an installed package.

    Raises:
        CFTError: no such pool or file, a malformed one (names file and line), or a package that
            fails.
    """
    if (ours := builtin_pools()).get(name):
        return _provided_pool(name, OUR_PACKAGE, ours[name])
    path = Path(name).expanduser()
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        if not os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises where a name is too long)
            raise CFTError(f"prompt pool {name} cannot be read: there is no such file")
        return read_pool(path)
    sources = pool_sources()
    if name in sources:
        return _provided_pool(name, *sources[name])
    if os.path.isfile(path):  # noqa: PTH113
        return read_pool(path)
    known = ", ".join(sorted(sources))
    raise CFTError(f"unknown prompt pool '{name}': use one of {known}, or the path of a pool file")


def all_pools() -> dict[str, PromptPool]:
    """Every pool that an installed package provides, ours first; `package` says which.

    Raises:
        CFTError: a malformed pool, or a package that fails.
    """
    return {name: _provided_pool(name, *source) for name, source in pool_sources().items()}


def load_function(name: str) -> PromptFunction:
    """The prompt function of that name, its `package` filled in.

    Raises:
        CFTError: no installed package provides it, or a package fails.
    """
    functions = _collect("cft_prompt_functions", (PromptFunction,))
    if name not in functions:
        known = ", ".join(sorted(functions)) or "none; docs/plugins.md shows how a package does it"
        raise CFTError(
            f"cft.prompts.function: no installed package provides '{name}' (provided: {known})"
        )
    package, function = functions[name]
    if not callable(function.function) or not function.fingerprint:
        raise CFTError(
            f"package {package}: prompt function '{name}' needs a function and a fingerprint"
        )
    return replace(function, package=package)


def pool_sources() -> dict[str, tuple[str, hooks.PoolSource]]:
    """Package and source of every provided pool, by name; ours first.

    Raises:
        CFTError: a package fails, or provides something else or a name that is taken; names the
            package.
    """
    return _collect("cft_pools", (PromptPool, Mapping, os.PathLike, str))


@functools.cache
def plugin_manager() -> pluggy.PluginManager:
    """All installed packages of the group, registered by their distribution's name.

    Raises:
        CFTError: one of them cannot be imported or does not fit the hooks.
    """
    manager = pluggy.PluginManager(hooks.GROUP)
    manager.add_hookspecs(hooks)
    manager.register(_BuiltIn(), name=OUR_PACKAGE)
    for entry_point in sorted(entry_points(group=hooks.GROUP), key=_package):
        try:
            plugin = entry_point.load()
            name = _package(entry_point)
            if manager.has_plugin(name):
                name = f"{name} ({entry_point.name})"
            manager.register(plugin, name=name)
            manager.check_pending()
        except Exception as exc:
            raise _failure(_package(entry_point), f"loading {entry_point.value}", exc) from exc
    return manager


class _BuiltIn:
    """What this package provides itself, through the same hook as the others."""

    @hooks.hookimpl
    def cft_pools(self) -> Mapping[str, hooks.PoolSource]:
        return builtin_pools()


def _provided_pool(name: str, package: str, source: Any) -> PromptPool:
    """A pool as a package provides it: an object, plain data or a file."""
    if isinstance(source, PromptPool):
        pool = source
    elif isinstance(source, Mapping):
        pool = parse_pool({"name": name, **source}, origin=f"pool '{name}' of package {package}")
    else:
        pool = read_pool(Path(source))
    return replace(pool, name=name, package=package)


def _package(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else entry_point.value


def _failure(package: str, what: str, exc: Exception) -> CFTError:
    return CFTError(
        f"package {package}: {what} failed ({type(exc).__name__}: {exc}); fix it, or run "
        f"`pip uninstall {package}`"
    )


def _collect(hook: str, kinds: tuple[type, ...]) -> dict[str, tuple[str, Any]]:
    """What every package answers to a hook, as name → (package, value)."""
    found: dict[str, tuple[str, Any]] = {}
    for package, answer in _answers(hook):
        if not isinstance(answer, Mapping):
            raise CFTError(f"package {package}: {hook} must return a mapping, got {answer!r}")
        for name, value in answer.items():
            if not isinstance(name, str) or name in {"", "none"} or not isinstance(value, kinds):
                raise CFTError(
                    f"package {package}: {hook} provides {name!r}: {value!r}, which does not fit "
                    "its description in docs/plugins.md"
                )
            if name in found:
                raise CFTError(
                    f"{hook}: '{name}' is provided by both {found[name][0]} and {package}; "
                    "uninstall one of them"
                )
            found[name] = (package, value)
    return found


def _answers(hook: str) -> Iterator[tuple[str, Any]]:
    """Each package's answers to a hook, asked one by one so that a failure can be named."""
    manager = plugin_manager()
    plugins = manager.list_name_plugin()
    for package, plugin in plugins:
        others = [other for _, other in plugins if other is not plugin]
        try:
            answers = manager.subset_hook_caller(hook, others)()
        except Exception as exc:
            raise _failure(package, hook, exc) from exc
        yield from ((package, answer) for answer in answers)
