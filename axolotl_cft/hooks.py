"""How packages bring prompts: two pluggy hooks, found by the entry-point group `axolotl_cft`.

Our own pools come the same way. docs/plugins.md shows a whole package.
"""

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from axolotl_cft.errors import CFTError
from axolotl_cft.prompts import PromptFunction, PromptPool, builtin_pools

GROUP = "axolotl_cft"
"""Name of the entry-point group and of the pluggy project."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

PoolSource = PromptPool | Mapping[str, Any] | Path | str


@hookspec
def cft_pools() -> Mapping[str, PoolSource]:  # type: ignore[empty-body]
    """Pools by the name that `cft.prompts` uses.

    A pool is given as the path of a pool file, as the same mapping in plain data, or as a
    `PromptPool`. Files are read when the pool is asked for.
    """


@hookspec
def cft_prompt_functions() -> Mapping[str, PromptFunction]:  # type: ignore[empty-body]
    """Prompt functions by the name that `cft.prompts: {function: NAME}` uses."""


class _BuiltIn:
    """What this package provides itself."""

    @hookimpl
    def cft_pools(self) -> Mapping[str, PoolSource]:
        return builtin_pools()


def pool_sources() -> dict[str, tuple[str, PoolSource]]:
    """Package and source of every provided pool, by name; ours first.

    Raises:
        CFTError: a package fails, provides something else, or a name that is taken; names it.
    """
    return _collect("cft_pools", (PromptPool, Mapping, os.PathLike, str))


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


@functools.cache
def plugin_manager() -> pluggy.PluginManager:
    """All installed packages of the group, registered by their distribution's name.

    Raises:
        CFTError: one of them cannot be imported or does not fit the hooks.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(sys.modules[__name__])
    manager.register(_BuiltIn(), name="axolotl-cft")
    for entry_point in sorted(entry_points(group=GROUP), key=_package):
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
