"""A world as a folder: documents, questions, items, and what they were made of."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError
from axolotl_cft.facts.documents import Document, Style, write_documents
from axolotl_cft.facts.domain import load_domain
from axolotl_cft.facts.mixing import Corpus, Mixed, document_line, mixture, plan_mixture
from axolotl_cft.facts.questions import KINDS, candidates, choose_items, half_of, texts
from axolotl_cft.facts.world import HALVES, World, make_world
from axolotl_cft.files import digest_file, json_line, open_whole, read_json, write_atomic

MANIFEST = "facts.json"
MIXED = "mixed.jsonl"
MODEL = "model"
_OURS = {MANIFEST, MIXED, MODEL, "facts", *HALVES}


@dataclass(frozen=True)
class Options:
    """What a world's folder is made of; the same options make the same bytes.

    Attributes:
        domain: one of `DOMAINS`.
        things: how many there are in all.
        items: most items of a kind.
        halves: which are written.
        mix_into: the corpus that the new half's documents go into, by name.
        share: their share of the mixture's characters.
        tiny_model: whether a model is made too.
    """

    domain: str
    things: int
    seed: int
    style: Style = field(default_factory=Style)
    items: int = 600
    halves: tuple[str, ...] = HALVES
    mix_into: str | None = None
    share: float = 0.01
    tiny_model: bool = False

    def record(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "domain": self.domain,
            "things": self.things,
            "seed": self.seed,
            "documents_per_thing": self.style.per_thing,
            "wordings": self.style.wordings,
            "words": list(self.style.words),
            "items": self.items,
            "halves": list(self.halves),
            "mix_into": self.mix_into,
            "share": self.share if self.mix_into else None,
            "tiny_model": self.tiny_model,
        }


@dataclass
class Made:
    """What was made, to look at.

    Attributes:
        documents: by half.
        items: by kind of question.
        few: kinds that have fewer items than were asked for.
    """

    world: World
    documents: dict[str, list[Document]]
    items: dict[str, list[dict[str, Any]]]
    few: list[str]
    mixed: Mixed | None = None


def make_folder(
    folder: Path, options: Options, corpus: Corpus | None = None, prompts: Iterable[str] = ()
) -> Made:
    """Invent a world and write it down.

    Args:
        folder: is made, or holds what the same options made.
        options: what to make.
        corpus: the documents of `options.mix_into`.
        prompts: what may stand before texts, for the tiny model's tokenizer.

    Raises:
        CFTError: the folder holds something else, or an option is at fault.
    """
    if corpus is not None and "new" not in options.halves:
        raise CFTError("--mix-into: it is the new half that is mixed in, which --half leaves out")
    _refuse_foreign(folder, options)
    world = make_world(load_domain(options.domain), options.things, options.seed)
    documents = {half: list(write_documents(world, half, options.style)) for half in options.halves}
    made = Made(world, documents, *_items(world, documents, options))
    if corpus is not None:
        made.mixed = plan_mixture(corpus, documents["new"], options.share)
    for half in options.halves:
        _write_half(folder / half, world, half, documents[half])
    for kind, items in made.items.items():
        _write_lines(folder / "facts" / f"{kind}.jsonl", map(json_line, items))
    if corpus is not None and made.mixed is not None:
        draws = world.draws("mixture")
        _write_lines(folder / MIXED, mixture(corpus, documents["new"], made.mixed, draws))
    if options.tiny_model:
        _make_model(folder / MODEL, made, prompts)
    _write_manifest(folder, options, made)
    return made


def _refuse_foreign(folder: Path, options: Options) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CFTError(f"{folder} is a file: name a folder with --output-dir")
    strange = [path for path in folder.iterdir() if path.name not in _OURS]
    strange = [path for path in strange if not _is_unfinished(path)]
    if strange:
        raise CFTError(
            f"{folder} holds {min(strange).name}, which no world is made of: choose an empty folder"
        )
    manifest = folder / MANIFEST
    if manifest.exists():
        was = read_json(manifest, "delete the folder").get("options")
        if was != options.record():
            raise CFTError(
                f"{folder} holds a world made with other options: delete it, or choose another "
                "folder"
            )
    # Whoever reads the folder would take these for the world's.
    left = [path for path in _not_of(folder, options) if not _is_unfinished(path)]
    if left:
        raise CFTError(
            f"{folder} holds {min(left).relative_to(folder)}, which these options do not make: "
            "delete it, or choose another folder"
        )


def _not_of(folder: Path, options: Options) -> Iterator[Path]:
    """The files of a folder that these options do not make."""
    halves = options.halves
    made = {folder / MANIFEST, *(folder / half / "documents.jsonl" for half in halves)}
    made |= {folder / "facts" / f"{kind}.jsonl" for kind in KINDS if half_of(kind) in halves}
    if "base" in halves:
        made.add(folder / "base" / "questions.jsonl")
    if options.mix_into:
        made.add(folder / MIXED)
    for path in folder.rglob("*"):
        of_model = options.tiny_model and folder / MODEL in path.parents
        if path.is_file() and path not in made and not of_model:
            yield path


def _is_unfinished(path: Path) -> bool:
    """What a run that was killed leaves behind: see `axolotl_cft.files.open_whole`."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _items(
    world: World, documents: dict[str, list[Document]], options: Options
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    items = {}
    for kind, ask in candidates(world, documents.get("new", [])).items():
        if half_of(kind) in options.halves:
            draws = world.draws("items", kind)
            items[kind] = choose_items(kind, ask(), options.items, draws)
    return items, [kind for kind in items if len(items[kind]) < options.items]


def _write_half(folder: Path, world: World, half: str, documents: Sequence[Document]) -> None:
    # A thing's documents do not follow each other.
    order = world.draws("order", half).shuffled(documents)
    _write_lines(folder / "documents.jsonl", map(document_line, order))
    if half == "base":
        lines = (json_line({"text": text}) for text in texts(world, half))
        _write_lines(folder / "questions.jsonl", lines)


def _make_model(folder: Path, made: Made, prompts: Iterable[str]) -> None:
    from axolotl_cft.facts.tiny import build_world_model, build_world_tokenizer

    world = made.world
    read = [document.text for half in made.documents.values() for document in half]
    read += [item["prompt"] for items in made.items.values() for item in items]
    read += texts(world, "base")
    build_world_model(folder, build_world_tokenizer(world, read, prompts), world.seed)


def _write_lines(path: Path, lines: Iterable[bytes]) -> None:
    with open_whole(path) as file:
        file.writelines(lines)


def _write_manifest(folder: Path, options: Options, made: Made) -> None:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST and not _is_unfinished(path)
    )
    content = {
        "made_by": f"axolotl-cft {version('axolotl-cft')}",
        "domain": options.domain,
        "seed": options.seed,
        "options": options.record(),
        "things": dict(Counter(thing.half for thing in made.world.things.values())),
        "relations": {kind.name: [*kind.relations] for kind in made.world.domain.kinds.values()},
        "documents": {half: len(documents) for half, documents in made.documents.items()},
        "items": {kind: len(items) for kind, items in made.items.items()},
        "mixed": vars(made.mixed) if made.mixed else None,
        "sha256": {str(path.relative_to(folder)): digest_file(path) for path in files},
    }
    write_atomic(folder / MANIFEST, json.dumps(content, indent=2) + "\n")
