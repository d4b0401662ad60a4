"""Educational texts behind question-answer items, and a contextual prompt for each text."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.generation.finish import finish
from axolotl_cft.generation.guard import Guard
from axolotl_cft.generation.journal import Journal
from axolotl_cft.generation.prompting import PromptPlan, prompt_key, resolve_answers
from axolotl_cft.generation.questions import TEXT, Item, item_key, text_job
from axolotl_cft.generation.run import (
    PROMPT_COLUMN,
    Closing,
    Endpoint,
    Progress,
    identity_of,
    settle,
    unseen,
)

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
        instruction: the words before question and answer.
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
    ) -> tuple[str, Columns]:
        """Have texts and prompts written, and write the rows with two more columns.

        Stopped, by whatever, the same call goes on where it was.

        Args:
            output_dir: receives the rows, `generation.json` and the journal of answers.
            endpoint: whom to ask.
            closing: what becomes of rejected answers.
            progress: shows how far the run is.

        Returns:
            A sentence about what was written, and the two columns.

        Raises:
            CFTError: the endpoint refused, the folder holds another run's answers, or rows have no
                usable answer.
        """
        closing = closing or Closing()
        keys = [item_key(item) if item else None for item in self.items]
        identity = identity_of("educate", keys, endpoint, self.plan) | {
            "text_instruction": hashlib.sha256(self.instruction.encode()).hexdigest()[:16]
        }
        with contextlib.closing(Journal(output_dir / "journal.jsonl", identity)) as journal:
            columns, keys = self._answer(keys, journal, endpoint, closing, progress)
            written = finish(
                self.corpus,
                output_dir / f"corpus.{closing.format_ or self.corpus.format}",
                columns,
                [[key] if key else [] for key in keys],
                [item is not None for item in self.items],
                journal.entries,
                drop_rejects=closing.drop_rejects,
                described={
                    "items": self.corpus.name,
                    **identity,
                    "text_instruction_text": self.instruction,
                    "instruction_text": self.plan.instruction,
                    "fallback": closing.fallback,
                    "guard": dataclasses.asdict(self.guard)
                    | {"data_dir": str(self.guard.data_dir)},
                },
            )
        return written, columns

    def _answer(
        self,
        text_keys: list[str | None],
        journal: Journal,
        endpoint: Endpoint,
        closing: Closing,
        progress: Progress,
    ) -> tuple[Columns, list[str | None]]:
        """Have the texts written, then their prompts.

        Returns:
            The two columns, and for each item the key of the answer that decides its row: the
            prompt's, or the text's where that was rejected.
        """
        pool, plan = closing.pool(), self.plan
        ask = partial(
            settle,
            journal=journal,
            endpoint=endpoint,
            retry_rejects=closing.retry_rejects,
            progress=progress,
        )
        items = [item for item in self.items if item]
        makers = ((item_key(item), partial(text_job, item, self.instruction)) for item in items)
        ask("Texts", text_keys, makers)
        texts = resolve_answers(text_keys, journal.entries, None, plan.seed)
        prompt_keys = [prompt_key(text) if text else None for text in texts]
        makers = ((prompt_key(text), partial(plan.job, text)) for text in texts if text)
        ask("Prompts", prompt_keys, makers)
        prompts = resolve_answers(prompt_keys, journal.entries, pool, plan.seed)
        keys = [prompt or text for prompt, text in zip(prompt_keys, text_keys, strict=True)]
        return {TEXT: texts, PROMPT_COLUMN: prompts}, keys

    def estimate(self, endpoint: Endpoint) -> dict[str, int]:
        """What `write` would ask, by a line of description each; nothing is asked."""
        plan = self.plan
        distinct = {item for item in self.items if item}
        texts = sum(plan.estimate(text_job(item, self.instruction).request) for item in distinct)
        prompt = plan.estimate(plan.request("", prompt_key(""))) + TYPICAL_TEXT_TOKENS
        longest = endpoint.max_output_tokens + plan.tokens.budget
        return {
            "items that may be used": sum(item is not None for item in self.items),
            "requests (a text and a prompt for each distinct item)": 2 * len(distinct),
            "tokens in, for the texts": texts,
            f"tokens in, for the prompts ({TYPICAL_TEXT_TOKENS} per text)": prompt * len(distinct),
            "tokens out, if all answers fit, at most": longest * len(distinct),
        }
