"""The recipes that come with the package (`example_configs/`): what there is, and copies of them.

In a clone they lie beside the package, in an installation inside it, where nobody looks. A copy
names the files beside it by where they lie now, in its commands as in its values.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_text, read_yaml

FOLDER = "example_configs"

_SUFFIXES = (".yml", ".py")

_FILE = re.compile(r"[\w./-]+\.(?:yml|yaml|py)\b")

_PLAIN_PATH = re.compile(r"[\w./+~-]+")


@dataclass(frozen=True)
class Copy:
    """A recipe as it is to be written.

    Attributes:
        file: where to.
        text: its content.
        needed: files that it names, by where to write them, with their contents.
        mentioned: other recipes that its comments speak of.
    """

    file: Path
    text: str
    needed: dict[Path, str]
    mentioned: tuple[str, ...]


def recipe_folder() -> Path:
    """Where the recipes lie: inside the package when installed, beside it in a clone.

    Raises:
        CFTError: neither.
    """
    package = Path(__file__).parent.parent
    for parent in (package, package.parent):
        if (parent / FOLDER / "demo.yml").is_file():
            return parent / FOLDER
    raise CFTError(f"{FOLDER}/ is not installed: reinstall axolotl-cft")


def list_recipes() -> dict[str, str]:
    """Each recipe by name, with what it is for: the first line of its first comment."""
    files = (path for path in sorted(recipe_folder().iterdir()) if path.suffix in _SUFFIXES)
    return {path.stem: read_text(path).partition("\n")[0].strip('# "') for path in files}


def find_recipe(name: str) -> Path:
    """A recipe's file, by its name with or without `.yml`.

    Raises:
        CFTError: there is none; names the nearest.
    """
    files = {path.stem: path for path in recipe_folder().iterdir() if path.suffix in _SUFFIXES}
    stem = Path(name).stem if Path(name).suffix in _SUFFIXES else name
    if stem in files:
        return files[stem]
    close = difflib.get_close_matches(stem.lower().replace("-", "_"), files, n=1)
    mend = f"did you mean {close[0]}?" if close else "`axolotl-cft init` lists them"
    raise CFTError(f"there is no recipe {name}: {mend}")


def refuse_uncopied(path: Path) -> None:
    """Say how to get a recipe that somebody means to use before it was copied.

    Raises:
        CFTError: there is no such file, and one of the recipes has its name.
    """
    if path.suffix not in _SUFFIXES or path.exists():
        return
    if (recipe_folder() / path.name).is_file():
        raise CFTError(
            f"there is no {path}: `axolotl-cft init {path.stem}` copies it to where you are"
        )


def copy_recipe(recipe: Path, output: Path) -> Copy:
    """A recipe for another place, together with the files without which it does not run.

    These are named in its values: the configs of a study, the prompts of a config. They come to lie
    beside it under their own names, since a study finds its configs there.

    Args:
        recipe: one of ours.
        output: the file to be.

    Raises:
        CFTError: `output` cannot be written into a command as it is.
    """
    if not _PLAIN_PATH.fullmatch(output.as_posix()):
        raise CFTError(
            f"--output {output}: recipes name their files in commands, so take a path of letters, "
            "digits and ./_+~- alone"
        )
    needed = list(_needed_by(recipe))
    places = {path.name: output.with_name(path.name) for path in needed} | {recipe.name: output}

    def placed(path: Path) -> str:
        def moved(match: re.Match[str]) -> str:
            return places.get(match[1], output.with_name(match[1])).as_posix()

        return re.sub(rf"\b{FOLDER}/([\w.-]+\w)", moved, read_text(path))

    text = read_text(recipe)
    spoken_of = {
        path.stem
        for path in recipe.parent.iterdir()
        if path.suffix in _SUFFIXES and path.name not in places and path.name in _names_in(text)
    }
    copies = {places[path.name]: placed(path) for path in needed}
    return Copy(output, placed(recipe), copies, tuple(sorted(spoken_of)))


def _needed_by(recipe: Path) -> Iterator[Path]:
    """Files of ours that the values of a recipe name, and those that these name in turn."""
    waiting, seen = [recipe], {recipe}
    while waiting:
        path = waiting.pop()
        if path.suffix not in (".yml", ".yaml"):
            continue
        for text in texts_in(read_yaml(path)):
            for name in sorted(_names_in(text)):
                named = recipe.parent / name
                if named not in seen and named.is_file():
                    seen.add(named)
                    waiting.append(named)
                    yield named


def _names_in(text: str) -> set[str]:
    """Names of files that are ours by their paths: without a folder, or in that of the recipes."""
    paths = (Path(match) for match in _FILE.findall(text))
    return {path.name for path in paths if str(path.parent) in (".", FOLDER)}


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a YAML value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(part)
