"""From a text to the job that has its contextual prompt written, and to the pool's stand-in."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from axolotl_cft.core.cuts import ChunkFinder
from axolotl_cft.core.pool import Prompt, PromptPool
from axolotl_cft.core.sampling import draw, text_key
from axolotl_cft.generation.instructions import Strategy, prompt_request
from axolotl_cft.generation.journal import Entry
from axolotl_cft.generation.sentences import cut_at_sentence
from axolotl_cft.generation.verdicts import judge_prompt
from axolotl_cft.generation.workers import Job
from axolotl_cft.host.tokens import Tokens


def prompt_key(text: str, before: str = "") -> str:
    """What a text's prompt is stored under; equal texts behind equal ones share one answer."""
    shown = f"{before}\0{text}" if before else text
    return f"prompt:{text_key(shown).hex()}"


def draw_prompt(pool: PromptPool, seed: int, key: str) -> Prompt:
    """The pool's prompt for the text behind a `prompt_key`, by seed and text alone."""
    ids = [prompt.id for prompt in pool.prompts]
    weights = [prompt.weight for prompt in pool.prompts]
    text = bytes.fromhex(key.removeprefix("prompt:"))
    return pool.prompts[draw(ids, weights, seed, text, 0, 1)[0]]


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
    """

    instruction: str
    strategies: PromptPool | None
    seed: int
    tokens: Tokens
    max_input_tokens: int | None
    finder: ChunkFinder | None = None
    context_chars: int = 0

    def shorten(self, text: str) -> str:
        """The beginning of `text` that goes into the request."""
        if self.max_input_tokens is None:
            return text
        return cut_at_sentence(text, self.tokens.prefix(text, self.max_input_tokens))

    def request(self, text: str, key: str, before: str = "") -> str:
        """The user message for a (shortened) text, and what stands before it."""
        strategy = None
        if self.strategies is not None:
            prompt = draw_prompt(self.strategies, self.seed, key)
            strategy = Strategy(prompt.strategy or prompt.id, prompt.text)
        return prompt_request(
            self.instruction, text, budget=self.tokens.budget, strategy=strategy, before=before
        )

    def job(self, text: str, before: str = "") -> Job:
        """The job for a text, or a chunk and what stands before it, as in the corpus."""
        key, shown = prompt_key(text, before), self.shorten(text)
        judge = partial(
            judge_prompt,
            instruction=prompt_request(
                self.instruction, "", budget=self.tokens.budget, strategy=None
            ),
            text=shown,
            count=self.tokens.of_prompt,
            budget=self.tokens.budget,
            special=self.tokens.special,
        )
        cut = len(shown) if len(shown) < len(text.rstrip()) else None
        return Job(key, self.request(shown, key, before), judge, cut)

    def estimate(self, request: str) -> int:
        """Tokens of a request: exact for the tokenizer, else four characters taken as one."""
        exact = self.tokens.tokenizer is not None
        return self.tokens.of_text(request) if exact else len(request) // 4

    def identity(self) -> dict[str, Any]:
        """What decides the answers; a run can only go on under the same."""
        wording = prompt_request(
            self.instruction, "{text}", budget=self.tokens.budget, strategy=None
        )
        chunks = {"chunk_tokens": self.finder.capacity} if self.finder else {}
        if self.context_chars:
            chunks["context_chars"] = self.context_chars
        return {
            "instruction": hashlib.sha256(wording.encode()).hexdigest()[:16],
            "strategies": self.strategies and self.strategies.fingerprint,
            "seed": self.seed,
            "prompt_budget": self.tokens.budget,
            "format": self.tokens.options.format,
            "separator": self.tokens.options.separator,
            "tokenizer": self.tokens.name,
            "max_input_tokens": self.max_input_tokens,
            **chunks,
        }


def resolve_answers(
    keys: Sequence[str | None], entries: Mapping[str, Entry], fallback: PromptPool | None, seed: int
) -> list[str | None]:
    """The answer of every row; None where it needs none or has none that can be used.

    Args:
        keys: what each row's answer is stored under, or None.
        entries: the journal's; one for each key.
        fallback: pool that stands in for rejected prompts, or None.
        seed: of the draws from it.
    """

    def resolve(key: str | None) -> str | None:
        if key is None:
            return None
        if "reject" not in entries[key]:
            return str(entries[key]["answer"])
        return draw_prompt(fallback, seed, key).text if fallback else None

    return [resolve(key) for key in keys]
