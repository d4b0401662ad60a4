"""A corpus → a corpus of reading-comprehension texts, a row a section, and the ledger.

A row is a section and not a document, so that the exercises stand near what they ask about, and
within reach of a model whose rows have 2,048 tokens.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from axolotl_cft.core.sampling import text_key, uniform
from axolotl_cft.corpus.comprehension.compose import COMPLETION, KINDS, TITLE, Exercise
from axolotl_cft.corpus.comprehension.keywords import find_keywords
from axolotl_cft.corpus.comprehension.mining import MINED
from axolotl_cft.corpus.comprehension.transform import Text, Texts, Titled, Transformation
from axolotl_cft.corpus.in_order import in_order
from axolotl_cft.corpus.parts import Block, Row
from axolotl_cft.corpus.writers import Corpus, refuse_taken, table_of, write_tables
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, json_line, open_whole
from axolotl_cft.records import COMPREHENSION_FILE, ComprehensionRecord, ExerciseCounts

DOCUMENT, SECTION, EXERCISES = "document", "section", "exercises"
COLUMNS = (DOCUMENT, SECTION, EXERCISES)
"""Columns that are added: 32 hex digits that stand for the document's text, the section's number
from 1, and the kinds of its exercises."""

_BATCH = 1 << 18
"""Characters, or one document, that a process works on at a time."""

Told = Callable[[int], None]
"""Is told bytes of the corpus's files that were read."""


@dataclass(frozen=True)
class Options:
    """What is made of a corpus.

    Attributes:
        field: column of the text.
        title_field: column of the title, where there is one.
        transformation: what is made of a document.
        tokenizer: name of the tokenizer by which the keywords were found, for the ledger.
    """

    field: str
    title_field: str
    transformation: Transformation
    tokenizer: str | None = None

    def knowing(self, corpus: Corpus, tokenizer: str, pieces: Iterable[str]) -> "Options":
        """The same with the words of the corpus's domain.

        Args:
            corpus: is read once.
            tokenizer: name of the base model's.
            pieces: of it.
        """
        keywords = find_keywords(corpus.texts(), pieces)
        known = replace(self.transformation, keywords=keywords)
        return replace(self, transformation=known, tokenizer=tokenizer)


def write_comprehension(
    corpus: Corpus,
    output_dir: Path,
    options: Options,
    *,
    format_: str | None = None,
    processes: int = 1,
    told: Told = lambda read: None,
) -> ComprehensionRecord:
    """Write the texts of a corpus, and `comprehension.json`.

    Args:
        corpus: the documents.
        output_dir: receives `corpus.jsonl` or `corpus.parquet`, whole or not at all.
        options: what is made of them.
        format_: "jsonl" or "parquet"; None for the one that suits the corpus.
        processes: how many work; the outcome is the same with any number.
        told: hears how far the corpus was read.

    Returns:
        What was written to `comprehension.json`.

    Raises:
        CFTError: the corpus cannot be read, a row has one of `COLUMNS` already or no form in the
            format, or a process was killed.
    """
    counts = _Counts()
    made = _made(corpus, options, processes, told, counts)
    path = output_dir / f"corpus.{format_ or corpus.format}"
    with open_whole(path) as file:
        if path.suffix == ".parquet":
            write_tables(file, corpus, (_table(*each, options.field) for each in made))
        else:
            file.writelines(line for each in made for line in _lines(*each, options.field))
    record = counts.record(corpus.name, options)
    record = record.model_copy(update={"output": path.name, "sha256": digest_file(path)})
    record.write(output_dir / COMPREHENSION_FILE)
    return record


@dataclass(frozen=True)
class Example:
    """An exercise to look at.

    Attributes:
        document: where its document stands.
        exercise: it, and what it is made of.
    """

    document: str
    exercise: Exercise


def look(
    corpus: Corpus,
    options: Options,
    count: int,
    *,
    processes: int = 1,
    told: Told = lambda read: None,
) -> tuple[list[Example], ComprehensionRecord]:
    """Make the texts of a corpus and write nothing.

    Returns:
        `count` exercises, of all kinds alike as far as there are any, and what the ledger would
        say. Which they are depends on the texts alone.
    """
    counts, found = _Counts(), _Sample(count)
    showing = replace(options, transformation=replace(options.transformation, showing=True))
    for block, _, texts in _made(corpus, showing, processes, told, counts):
        for name, one in zip(block.names, texts, strict=True):
            for text in one.texts:
                found.add(name, text)
    return found.examples(), counts.record(corpus.name, options)


class _Sample:
    """The exercises of each kind that draw the smallest numbers."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: dict[str, list[tuple[float, str, Exercise]]] = {kind: [] for kind in MINED}

    def add(self, name: str, text: Text) -> None:
        for exercise in text.exercises:
            number = uniform("cft-show", text_key(f"{text.text}\n{exercise.text}"))
            kept = self._kept[exercise.mined.kind]
            kept.append((number, name, exercise))
            if len(kept) > 8 * self._count:
                self._kept[exercise.mined.kind] = self._smallest(kept)

    def _smallest(
        self, kept: Iterable[tuple[float, str, Exercise]]
    ) -> list[tuple[float, str, Exercise]]:
        return heapq.nsmallest(self._count, kept, key=lambda each: each[:2])

    def examples(self) -> list[Example]:
        """First one of each kind, then the second of each, and so on."""
        rounds = [
            (place, list(self._kept).index(kind), Example(name, exercise))
            for kind, kept in self._kept.items()
            for place, (_, name, exercise) in enumerate(self._smallest(kept))
        ]
        return [example for *_, example in sorted(rounds, key=lambda each: each[:2])][: self._count]


_MadeOfBlock = tuple[Block, list[Row], list[Texts]]


def _made(
    corpus: Corpus, options: Options, processes: int, told: Told, counts: "_Counts"
) -> Iterator[_MadeOfBlock]:
    """Every block of a corpus, its rows, and what becomes of its documents."""
    texts: list[Texts] = []
    pieces = _pieces(corpus, options, told)
    for ended, done in in_order(options.transformation.all, pieces, processes):
        texts += done
        if ended is not None:
            block, rows = ended
            for text, one in zip(block.texts, texts, strict=True):
                counts.add(text, one)
            yield block, rows, texts
            texts = []


def _pieces(
    corpus: Corpus, options: Options, told: Told
) -> Iterator[tuple[tuple[Block, list[Row]] | None, list[Titled]]]:
    """Some documents at a time; the last ones of a block come with the block."""
    position = 0
    for block in corpus.blocks():
        rows = list(block.rows())
        if block.names:
            refuse_taken(block.names[0], rows[0], COLUMNS)
        batch: list[Titled] = []
        size = 0
        for text, row in zip(block.texts, rows, strict=True):
            if batch and size + len(text) > _BATCH:
                yield None, batch
                batch, size = [], 0
            title = row.get(options.title_field)
            batch.append((text, title if isinstance(title, str) else None))
            size += len(text)
        yield (block, rows), batch
        # A file that follows begins from nothing.
        told(block.position - position if block.position >= position else block.position)
        position = block.position


def _lines(
    block: Block, rows: Sequence[Row], texts: Sequence[Texts], column: str
) -> Iterator[bytes]:
    for name, row, document, one in zip(block.names, rows, block.texts, texts, strict=True):
        key = text_key(document).hex()
        for number, text in enumerate(one.texts, 1):
            added = {DOCUMENT: key, SECTION: number, EXERCISES: list(text.kinds)}
            try:
                yield json_line(row | {column: text.text} | added)
            except TypeError as exc:
                raise CFTError(
                    f"{name} has no JSON form ({exc}): choose the format parquet"
                ) from exc


def _table(block: Block, rows: Sequence[Row], texts: Sequence[Texts], column: str) -> Any:
    """The rows as an Arrow table; the columns keep their types."""
    import pyarrow as pa

    table = table_of(block)
    each = [
        (row, number, text)
        for row, one in enumerate(texts)
        for number, text in enumerate(one.texts, 1)
    ]
    keys = [text_key(document).hex() for document in block.texts]
    place = table.schema.get_field_index(column)
    known = table.schema.field(place)
    new = table.take(pa.array([row for row, *_ in each], pa.int64()))
    new = new.set_column(place, known, pa.array([text.text for *_, text in each], known.type))
    new = new.append_column(DOCUMENT, pa.array([keys[row] for row, *_ in each], pa.string()))
    new = new.append_column(SECTION, pa.array([number for _, number, _ in each], pa.int64()))
    kinds = pa.array([list(text.kinds) for *_, text in each], pa.list_(pa.string()))
    return new.append_column(EXERCISES, kinds)


@dataclass
class _Counts:
    """What the ledger says, counted document by document."""

    sums: Counter[str] = field(default_factory=Counter)
    mined: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)

    def add(self, document: str, made: Texts) -> None:
        kinds = Counter(kind for text in made.texts for kind in text.kinds)
        self.sums.update(
            documents=1,
            documents_with_exercises=int(bool(kinds)),
            other_language=int(made.other_language),
            sections=len(made.texts),
            characters_in=len(document),
            characters_out=sum(len(text.text) for text in made.texts),
            characters_added=sum(text.added for text in made.texts),
        )
        self.mined.update(made.mined)
        self.left_out.update(made.left_out)
        self.written.update(kinds)
        self.documents.update(kinds.keys())

    def record(self, corpus: str, options: Options) -> ComprehensionRecord:
        asked = {kind: self.written[kind] for kind in (TITLE, COMPLETION)}
        mined = self.mined | Counter(asked)
        return ComprehensionRecord(
            corpus=corpus,
            tokenizer=options.tokenizer,
            keywords=len(options.transformation.keywords),
            section_characters=options.transformation.limit,
            documents=self.sums["documents"],
            documents_with_exercises=self.sums["documents_with_exercises"],
            other_language=self.sums["other_language"],
            sections=self.sums["sections"],
            characters_in=self.sums["characters_in"],
            characters_out=self.sums["characters_out"],
            characters_added=self.sums["characters_added"],
            exercises={
                kind: ExerciseCounts(
                    mined=mined[kind],
                    left_out=self.left_out[kind],
                    written=self.written[kind],
                    documents=self.documents[kind],
                )
                for kind in KINDS
            },
            none_of=[kind for kind in KINDS if not self.written[kind]],
        )
