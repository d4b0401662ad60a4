"""Educational texts behind question-answer items, and a contextual prompt for each text."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from axolotl_cft.core.pool import PromptPool
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.generation.answers import Answer, Answers, Keys
from axolotl_cft.generation.batch import Batch, MissingAnswersError, obtain, refuse_exported
from axolotl_cft.generation.earlier_journal import Entry, item_key, prompt_key, take_over
from axolotl_cft.generation.finish import Outcome, Written, finish, refuse_other_rows
from axolotl_cft.generation.guard import Guard
from axolotl_cft.generation.prompting import PromptPlan, draw_prompt, usable_texts
from axolotl_cft.generation.questions import TEXT, Item, text_job
from axolotl_cft.generation.run import (
    ANSWERS_FILE,
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    Estimate,
    Progress,
    identity_of,
    unseen,
)
from axolotl_cft.generation.wanted import Wanted
from axolotl_cft.generation.workers import Job

TYPICAL_TEXT_TOKENS = 700
"""Length of an educational text of three to six paragraphs; only estimates use it."""

Columns = dict[str, list[str | None]]


@dataclasses.dataclass(frozen=True)
class Education:
    """What is written, from what.

    Attributes:
        corpus: the rows that the items stand in.
        items: one for each row; None where the guard leaves it out.
        guard: what kept test items out, for the ledger.
        instruction: the words before question, answer and, where they are shown, options.
        plan: how the prompts are asked for.
    """

    corpus: Corpus
    items: Sequence[Item | None]
    guard: Guard
    instruction: str
    plan: PromptPlan

    def write(
        self,
        output_dir: Path,
        endpoint: Endpoint,
        closing: Closing | None = None,
        progress: Progress = unseen,
        *,
        answers: Path | None = None,
        batch: Batch | None = None,
    ) -> tuple[Outcome, Columns]:
        """Have texts and prompts written, and write the rows with two more columns.

        Stopped, by whatever, the same call goes on where it was.

        Args:
            output_dir: receives the rows and `generation.json`.
            endpoint: whom to ask.
            closing: what becomes of rejected answers.
            progress: shows how far the run is.
            answers: where the answers are kept; None for `ANSWERS_FILE` in the output folder.
            batch: files to write the requests to, or to read the answers from, in place of asking:
                for the texts, and once all of them are there for their prompts.

        Returns:
            What was written, and the two columns; none where requests were written.

        Raises:
            CFTError: the endpoint refused, the folder holds another corpus's rows, or rows have no
                usable answer.
        """
        closing, keys = closing or Closing(), endpoint.keys()
        folder = self.corpus.folder_in(output_dir)
        refuse_other_rows(folder, self.corpus.name, "educate")
        refuse_exported(batch)
        pool, texts = closing.pool(), self._texts(keys)
        identity = identity_of("educate", texts.keys, endpoint, self.plan) | {
            "text_instruction": hashlib.sha256(self.instruction.encode()).hexdigest()[:16],
            **({"options": "shown"} if any(item and item.options for item in self.items) else {}),
        }
        with contextlib.closing(Answers(answers or output_dir / ANSWERS_FILE)) as store:
            over = partial(self._earlier_keys, keys)
            take_over(output_dir, store, identity, over, done_with=self.corpus.limit is None)
            ask = partial(
                obtain,
                answers=store,
                endpoint=endpoint,
                closing=closing,
                progress=progress,
                batch=batch,
            )
            first = ask(texts)
            if not first.whole:
                return Outcome(first.said), {}
            found = store.read(filter(None, texts.keys))
            prompts = self._prompts(keys, usable_texts(texts.keys, found, {}))
            try:
                second = ask(prompts)
            except MissingAnswersError as exc:
                raise MissingAnswersError(f"{first.said}. {exc}") from exc
            if not second.whole:
                return Outcome(second.said), {}
            found |= store.read(filter(None, prompts.keys))
        written = self._written(texts, prompts, found, pool)
        described = {
            "items": self.corpus.name,
            **identity,
            "text_instruction_text": self.instruction,
            "instruction_text": self.plan.instruction,
            "guard": dataclasses.asdict(self.guard) | {"data_dir": str(self.guard.data_dir)},
        }
        said = [first.said, second.said]
        done = finish(self.corpus, folder, written, found, closing, described, said)
        return done, {name: list(column) for name, column in written.columns.items()}

    def _texts(self, keys: Keys) -> Wanted:
        """The educational texts, one for each item."""
        makers = [
            partial(text_job, keys, item, self.instruction) if item else None for item in self.items
        ]
        text_keys = [make().key if make else None for make in makers]
        return Wanted("Texts", text_keys, lambda: _given(text_keys, makers))

    def _prompts(self, keys: Keys, texts: Sequence[str | None]) -> Wanted:
        """The prompts of texts; none where there is no text."""
        makers = [partial(self.plan.job, keys, text) if text else None for text in texts]
        prompt_keys = [make().key if make else None for make in makers]
        measure = self.plan.tokens.measure
        return Wanted("Prompts", prompt_keys, lambda: _given(prompt_keys, makers), measure)

    def _earlier_keys(self, keys: Keys, entries: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
        """The key of each text and prompt, and the one that version 0.1 had for it."""
        for item in filter(None, self.items):
            earlier = item_key(item.question, item.answer)
            yield text_job(keys, item, self.instruction).key, earlier
            entry = entries.get(earlier, {})
            if "answer" in entry and "reject" not in entry:
                yield self.plan.job(keys, entry["answer"]).key, prompt_key(entry["answer"])

    def _written(
        self,
        texts: Wanted,
        prompts: Wanted,
        found: Mapping[str, Answer],
        pool: PromptPool | None,
    ) -> Written:
        """The two columns, and which answer decides each row: the prompt's, or the rejected
        text's."""
        deciding = [p or t for p, t in zip(prompts.keys, texts.keys, strict=True)]
        written = usable_texts(texts.keys, found, {})
        instead = {
            key: draw_prompt(pool, self.plan.seed, text).fill(pool.defaults)
            for key, text in zip(prompts.keys, written, strict=True)
            if pool and key and text
        }
        columns = {TEXT: written, PROMPT_COLUMN: usable_texts(prompts.keys, found, instead)}
        answers = [found[key] for key in dict.fromkeys(prompts.keys) if key]
        distinct = {text for text in columns[TEXT] if text}
        return Written(
            columns,
            {},
            [[key] if key else [] for key in deciding],
            [item is not None for item in self.items],
            prompts=[answer.text for answer in answers if answer.usable],
            cut=sum(self.plan.shorten(text) != text for text in distinct),
        )

    def estimate(self, endpoint: Endpoint) -> Estimate:
        """What `write` would ask; nothing is asked, and answers that are there count as missing."""
        plan, keys = self.plan, endpoint.keys()
        distinct = {item for item in self.items if item}
        jobs = (text_job(keys, item, self.instruction) for item in distinct)
        texts = sum(plan.estimate(job.message) for job in jobs)
        prompts = (plan.estimate(plan.message("", "")) + TYPICAL_TEXT_TOKENS) * len(distinct)
        return Estimate(
            {
                "items that may be used": sum(item is not None for item in self.items),
                "requests (a text and a prompt for each distinct item)": 2 * len(distinct),
                "tokens in, for the texts": texts,
                f"tokens in, for the prompts ({TYPICAL_TEXT_TOKENS} per text)": prompts,
            },
            tokens_in=texts + prompts,
            tokens_out=(endpoint.max_output_tokens + plan.tokens.budget) * len(distinct),
        )


def _given(
    keys: Sequence[str | None], makers: Sequence[Callable[[], Job] | None]
) -> Iterator[tuple[str, Callable[[], Job]]]:
    """Each key and how to make its job, where there is one."""
    for key, make in zip(keys, makers, strict=True):
        if key and make:
            yield key, make
