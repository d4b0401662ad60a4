"""Active Reading: a model names strategies for studying a document, then applies each to it.

The natural rival of contextual fine-tuning: a strategy is carried out instead of prepended (Lin et
al., "Learning Facts at Scale with Active Reading", ICLR 2026, arXiv 2508.09494). What comes of it
is trained on as plain text.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers, Keys
from axolotl_cft.generation.batch import Batch, MissingAnswersError, obtain, refuse_exported
from axolotl_cft.generation.finish import Outcome, refuse_other_rows
from axolotl_cft.generation.instructions import APPLY_STRATEGY, fill
from axolotl_cft.generation.portions import Portions, divide, passages
from axolotl_cft.generation.prompting import PromptPlan
from axolotl_cft.generation.readings import (
    DOCUMENT,
    STRATEGY,
    TEXT,
    Reading,
    finish_readings,
)
from axolotl_cft.generation.run import (
    ANSWERS_FILE,
    Closing,
    Endpoint,
    Estimate,
    Progress,
    identity_of,
    unseen,
)
from axolotl_cft.generation.strategies import strategies_in
from axolotl_cft.generation.verdicts import judge_reading, judge_strategies
from axolotl_cft.generation.wanted import Wanted
from axolotl_cft.generation.workers import Job

COMMAND = "active-reading"

TYPICAL_STRATEGIES, TYPICAL_STRATEGY_TOKENS = 8, 80
"""How many strategies a document gets, and how long they are; only estimates use it."""


@dataclass(frozen=True)
class ActiveReading:
    """What is studied, and how.

    Attributes:
        corpus: the documents.
        plan: of the style "active-reading": its message asks for the strategies.
        field: the column of the documents, which the texts replace.
        most: strategies of a document that are applied, the first ones; None for all.
    """

    corpus: Corpus
    plan: PromptPlan
    field: str = TEXT
    most: int | None = None

    def write(
        self,
        output_dir: Path,
        endpoint: Endpoint,
        closing: Closing | None = None,
        progress: Progress = unseen,
        *,
        answers: Path | None = None,
        batch: Batch | None = None,
    ) -> Outcome:
        """Have every document studied, and write a row for each text that comes of it.

        Stopped, by whatever, the same call goes on where it was.

        Args:
            output_dir: receives the rows and `generation.json`.
            endpoint: whom to ask.
            closing: what becomes of rejected answers; no pool can stand in for them.
            progress: shows how far the run is.
            answers: where the answers are kept; None for `ANSWERS_FILE` in the output folder.
            batch: files to write the requests to, or to read the answers from, in place of asking:
                for the strategies, and once all of them are there for the texts.

        Returns:
            What was written.

        Raises:
            CFTError: the corpus cannot be read or has such columns already, the endpoint refused,
                the folder holds other rows, or an answer was given up.
        """
        closing, keys = closing or Closing(), endpoint.keys()
        folder = self.corpus.folder_in(output_dir)
        refuse_other_rows(folder, self.corpus.name, COMMAND)
        refuse_exported(batch)
        with contextlib.closing(Answers(answers or output_dir / ANSWERS_FILE)) as store:
            rows = self._read(keys, progress)
            naming = self._naming(rows)
            ask = partial(
                obtain,
                answers=store,
                endpoint=endpoint,
                closing=closing,
                progress=progress,
                batch=batch,
            )
            first = ask(naming)
            if not first.whole:
                return Outcome(
                    f"{first.said} They ask for the strategies; another export then writes the "
                    "requests that apply them."
                )
            found = store.read(filter(None, naming.keys))
            readings = self._readings(keys, rows, found)
            try:
                second = ask(self._applying(rows, found, readings))
            except MissingAnswersError as exc:
                raise MissingAnswersError(
                    f"{first.said}. For the texts that apply the strategies, {exc}"
                ) from exc
            if not second.whole:
                return Outcome(second.said)
            found |= store.read(reading.key for reading in readings)
        described = {
            "corpus": self.corpus.name,
            **identity_of(COMMAND, naming.keys, endpoint, self.plan),
            "instruction_text": self.plan.instruction,
            "applying_text": APPLY_STRATEGY,
            "strategies_per_document": self.most,
        }
        said = [first.said, second.said]
        corpus, field = self.corpus, self.field
        return finish_readings(
            corpus, field, folder, rows, readings, found, closing, described, said
        )

    def _read(self, keys: Keys, progress: Progress) -> list[Portions]:
        """What is shown of each document, and the keys of its strategies."""
        self.corpus.refuse_columns([c for c in (TEXT, STRATEGY, DOCUMENT) if c != self.field])
        with progress("Reading the corpus", None, 0):
            rows = [divide(self.plan, keys, text) for text in self.corpus.texts()]
        if not any(row.asked for row in rows):
            raise CFTError(f"{self.corpus.name} holds no text")
        return rows

    def _shown(self, rows: Sequence[Portions]) -> Iterator[tuple[int, str, str]]:
        """The row of each document or chunk, the key of its strategies, and what is shown of it."""
        for index, (text, row) in enumerate(zip(self.corpus.texts(), rows, strict=True)):
            parts = passages(self.plan, text, row.edges)
            for key, shown, (part, _) in zip(row.keys, row.shown, parts, strict=True):
                if key is not None:
                    yield index, key, part[:shown]

    def _naming(self, rows: Sequence[Portions]) -> Wanted:
        """The strategies of all documents."""

        def jobs() -> Iterator[tuple[str, Callable[[], Job]]]:
            for _, key, shown in self._shown(rows):
                yield key, partial(self._naming_job, key, shown)

        return Wanted("Strategies", [key for row in rows for key in row.asked], jobs)

    def _naming_job(self, key: str, shown: str) -> Job:
        return Job(key, self.plan.message(shown, shown), judge_strategies)

    def _tasks(
        self, rows: Sequence[Portions], found: Mapping[str, Answer]
    ) -> Iterator[tuple[int, str, str]]:
        """The row, the strategy and what is shown of the document, for each text that is wanted."""
        for index, key, shown in self._shown(rows):
            if found[key].usable:
                for strategy in strategies_in(found[key].text)[: self.most]:
                    yield index, strategy, shown

    def _readings(
        self, keys: Keys, rows: Sequence[Portions], found: Mapping[str, Answer]
    ) -> list[Reading]:
        """The texts that are wanted, in the order of their documents."""
        return [
            Reading(index, strategy, keys.of(_request(strategy, shown)))
            for index, strategy, shown in self._tasks(rows, found)
        ]

    def _applying(
        self, rows: Sequence[Portions], found: Mapping[str, Answer], readings: Sequence[Reading]
    ) -> Wanted:
        """The texts, one for each document and strategy."""

        def jobs() -> Iterator[tuple[str, Callable[[], Job]]]:
            tasks = self._tasks(rows, found)
            for reading, (_, strategy, shown) in zip(readings, tasks, strict=True):
                yield reading.key, partial(self._applying_job, reading.key, strategy, shown)

        wanted = [reading.key for reading in readings]
        return Wanted("Texts", wanted, jobs, self.plan.tokens.measure)

    def _applying_job(self, key: str, strategy: str, shown: str) -> Job:
        judge = partial(judge_reading, text=shown, special=self.plan.tokens.special)
        return Job(key, _request(strategy, shown), judge, self.plan.tokens.measure)

    def estimate(self, endpoint: Endpoint, progress: Progress = unseen) -> Estimate:
        """What `write` would ask; nothing is asked, and answers that are there count as missing.

        Raises:
            CFTError: the corpus cannot be read or has such columns already.
        """
        rows, count = self._read(endpoint.keys(), progress), self.plan.estimate
        each, tokens = self.most or TYPICAL_STRATEGIES, 0
        distinct: set[str] = set()
        for _, key, shown in self._shown(rows):
            if key not in distinct:
                distinct.add(key)
                applied = count(_request("", shown)) + TYPICAL_STRATEGY_TOKENS
                tokens += count(self.plan.message(shown, shown)) + each * applied
        asked = "documents" if self.plan.finder is None else "chunks"
        lines = {
            "rows": len(rows),
            f"requests for strategies (distinct {asked})": len(distinct),
            f"requests that apply them (taken as {each} for each)": each * len(distinct),
            f"{asked} cut for the request": sum(row.cut for row in rows),
        }
        return Estimate(lines, tokens, (1 + each) * len(distinct) * endpoint.max_output_tokens)


def _request(strategy: str, shown: str) -> str:
    """The user message that has a strategy applied to what is shown of a document."""
    return fill(APPLY_STRATEGY, strategy=strategy, text=shown)
