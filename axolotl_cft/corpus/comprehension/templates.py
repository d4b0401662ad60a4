"""The wording of exercises, from `templates.yml`."""

import functools
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True)
class Templates:
    """All wording; a list for each kind of thing that is said.

    Attributes:
        classify: questions about how two sentences are related: `ask`, and the answer of each kind.
        exercises: kind -> templates of a question with its answer.
        introductions: what stands between a text and its exercises.
        title_after, title_before: the title as answer, and as question to which the text answers.
        completion: what stands `before` a text's first part, and `between` the parts.
        plain: what stands before a text that is followed by exercises alone.
    """

    classify: list[dict[str, str]]
    exercises: dict[str, list[str]]
    introductions: list[str]
    title_after: list[str]
    title_before: list[str]
    completion: list[dict[str, str]]
    plain: list[str]


@functools.cache
def load_templates() -> Templates:
    """The templates of this package."""
    path = files("axolotl_cft.corpus.comprehension") / "templates.yml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    inference = content["inference"]
    return Templates(
        classify=inference["classify"],
        exercises=inference["generate"]
        | content["cause"]
        | content["paraphrase"]
        | content["words"],
        introductions=content["introductions"],
        title_after=content["title"]["after"],
        title_before=content["title"]["before"],
        completion=content["completion"],
        plain=content["plain"],
    )
