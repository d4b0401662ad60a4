"""From a text to the job that has its contextual prompt written, and to the pool's stand-in."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from axolotl_cft.core.cuts import ChunkFinder
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import draw, text_key
from axolotl_cft.generation.answers import Answer, Keys
from axolotl_cft.generation.instructions import Strategy, prompt_request
from axolotl_cft.generation.sentences import cut_at_sentence
from axolotl_cft.generation.verdicts import judge_prompt
from axolotl_cft.generation.workers import Job
from axolotl_cft.host.tokens import Tokens


def draw_prompt(pool: PromptPool, seed: int, text: str, before: str = "") -> Prompt:
    """The pool's prompt for a text and what stands before it, by these and the seed alone."""
    key = text_key(f"{before}\0{text}" if before else text)
    ids = [prompt.id for prompt in pool.prompts]
    weights = [prompt.weight for prompt in pool.prompts]
    return pool.prompts[draw(ids, weights, seed, key, 0, 1)[0]]


@dataclass(frozen=True)
class PromptPlan:
    """How contextual prompts are asked for and judged.

    Attributes:
        instruction: the words before the text, or with `{text}` in them.
        strategies: pool whose learning strategies are handed out; None for none.
        seed: decides which strategy (and which stand-in) a text gets.
        tokens: counts prompts, and holds the budget.
        max_input_tokens: a longer text is cut, at the end of a sentence, for the request alone;
            None for no limit.
        finder: finds the chunks that get a prompt each; None for one prompt for each text.
        context_chars: characters before a chunk that are shown with it.
        rules: whether a request ends with the form that the checks demand.
    """

    instruction: str
    strategies: PromptPool | None
    seed: int
    tokens: Tokens
    max_input_tokens: int | None
    finder: ChunkFinder | None = None
    context_chars: int = 0
    rules: bool = True

    def shorten(self, text: str) -> str:
        """The beginning of `text` that goes into the request."""
        if self.max_input_tokens is None:
            return text
        part = cut_at_sentence(text, self.tokens.prefix(text, self.max_input_tokens))
        return part if len(part) < len(text.rstrip()) else text

    def message(self, shown: str, text: str, before: str = "") -> str:
        """The user message for what is shown of a text, and what stands before it."""
        strategy = None
        if self.strategies is not None:
            prompt = draw_prompt(self.strategies, self.seed, text, before)
            strategy = Strategy(prompt.strategy or prompt.id, prompt.text)
        return self._request(shown, strategy, before)

    def _request(self, shown: str, strategy: Strategy | None, before: str = "") -> str:
        budget = self.tokens.budget if self.rules else None
        return prompt_request(
            self.instruction, shown, budget=budget, strategy=strategy, before=before
        )

    def job(self, keys: Keys, text: str, before: str = "", shown: str | None = None) -> Job:
        """The job for a text, or a chunk and what stands before it, as in the corpus.

        Args:
            keys: of the model that is asked.
            text: not empty.
            before: what stands before it.
            shown: what `shorten` leaves of it, where that is known.
        """
        shown = self.shorten(text) if shown is None else shown
        judge = partial(
            judge_prompt,
            instruction=self._request("", None),
            text=shown,
            count=self.tokens.of_prompt,
            budget=self.tokens.budget,
            special=self.tokens.special,
        )
        message = self.message(shown, text, before)
        return Job(keys.of(message), message, judge, self.tokens.measure)

    def estimate(self, message: str) -> int:
        """Tokens of a message: exact for the tokenizer, else four characters taken as one."""
        exact = self.tokens.tokenizer is not None
        return self.tokens.of_text(message) if exact else len(message) // 4

    def identity(self) -> dict[str, Any]:
        """How was asked, for the ledger."""
        more: dict[str, Any] = {"chunk_tokens": self.finder.capacity} if self.finder else {}
        if self.finder and self.finder.every:
            more["every"] = self.finder.every
        if self.context_chars:
            more["context_chars"] = self.context_chars
        if not self.rules:
            more["rules"] = "none"
        return {
            "instruction": hashlib.sha256(self._request("{text}", None).encode()).hexdigest()[:16],
            "strategies": self.strategies and self.strategies.fingerprint,
            "seed": self.seed,
            "prompt_budget": self.tokens.budget,
            "format": self.tokens.options.format,
            "separator": self.tokens.options.separator,
            "tokenizer": self.tokens.name,
            "max_input_tokens": self.max_input_tokens,
            **more,
        }


def usable_texts(
    keys: Sequence[str | None], answers: Mapping[str, Answer], stand_ins: Mapping[str, str]
) -> list[str | None]:
    """The answer under every key; None where nothing is needed or nothing can be used.

    Args:
        keys: what each answer is stored under, or None.
        answers: one for each key.
        stand_ins: texts in place of rejected answers.
    """

    def text_of(key: str | None) -> str | None:
        if key is None:
            return None
        return answers[key].text if answers[key].usable else stand_ins.get(key)

    return [text_of(key) for key in keys]
