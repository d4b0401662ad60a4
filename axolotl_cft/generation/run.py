"""One run: its options and its identity."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Keys
from axolotl_cft.generation.hiding import hide_secrets

if TYPE_CHECKING:
    from axolotl_cft.core.pool import PromptPool
    from axolotl_cft.generation.gate import Waits
    from axolotl_cft.generation.prompting import PromptPlan
    from axolotl_cft.generation.sharing import Clients
    from axolotl_cft.generation.workers import Meter


PROMPT_COLUMN = "contextual_prompt"
"""The column in which `generate` and `educate` write a row's prompt."""

ANSWERS_FILE = "answers.sqlite"
"""Where the answers of a run are kept in its output folder, unless told otherwise."""

DOCUMENT_TOKENS = 3000
"""Most tokens of a whole text that are shown, unless told otherwise."""

Progress = Callable[[str, int | None, int], AbstractContextManager[Callable[["Meter"], None]]]
"""Shows a piece of work, given its name, how much of it there is (None: unknown) and how much of
that is done already; told about the state from time to time."""


@contextmanager
def unseen(label: str, total: int | None, done: int) -> Iterator[Callable[["Meter"], None]]:
    """The progress of a run that nobody watches."""
    yield lambda meter: None


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Whom to ask, and how hard.

    Attributes:
        model: the model's name at the endpoint; only an estimate can do without.
        base_url: an OpenAI-compatible endpoint, or several of the same model, which share the work;
            None for OpenAI's own.
        concurrency: requests under way at once, at all endpoints together.
        attempts: how often one answer is asked for before it is rejected.
        timeout: seconds from sending a request to the last byte of its answer.
        patience: minutes without any answer after which a fault of the endpoint ends the run.
        requests_per_minute: the limit of each endpoint; None for none that is known.
        tokens_per_minute: the same for tokens in and out.
        max_output_tokens: bound on one answer, the model's reasoning included.
        request: more fields for every request.
    """

    model: str | None = None
    base_url: str | Sequence[str] | None = dataclasses.field(default=None, repr=False)
    concurrency: int = 32
    attempts: int = 3
    timeout: float = 120.0
    patience: float = 30.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_output_tokens: int = 2048
    request: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    def clients(self, waits: "Waits | None" = None) -> "Clients":
        """Clients of all endpoints, for one event loop.

        Args:
            waits: how long to wait where an endpoint does not say.

        Raises:
            CFTError: there is no model, or a client cannot be made.
        """
        from axolotl_cft.generation.client import Client
        from axolotl_cft.generation.sharing import Clients

        given = [self.base_url] if isinstance(self.base_url, str) else self.base_url or ()
        urls: list[str | None] = [*dict.fromkeys(given)] or [None]
        clients = [
            Client(
                self.named_model(),
                url,
                timeout=self.timeout,
                max_output_tokens=self.max_output_tokens,
                request=self.request,
            )
            for url in urls
        ]
        return Clients(
            clients,
            patience=self.patience,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            waits=waits,
        )

    def keys(self) -> Keys:
        """What makes the keys of the model's answers."""
        return Keys(self.model, self.request)

    def named_model(self) -> str:
        """The model.

        Raises:
            CFTError: there is none.
        """
        if not self.model:
            raise CFTError("nobody to ask: name the model of the endpoint")
        return self.model


@dataclasses.dataclass(frozen=True)
class PromptOptions:
    """How contextual prompts are asked for.

    Attributes:
        instruction: file with the words before the text; None for the paper's.
        style: led by the text alone, or also by one of the paper's learning strategies; or
            `active_reading`'s first request, which asks for no prompt, and takes no other words.
        seed: of the draws of strategies.
        config: Axolotl YAML whose tokenizer, format and budget the prompts must fit.
        tokenizer: to count with; a name or a folder. The config's if None.
        prompt_budget: most tokens of a prompt with BOS and separator. The config's if None.
        max_input_tokens: a longer text is cut at the end of a sentence, for the request alone;
            None for `DOCUMENT_TOKENS`, and for no limit where chunks are asked about.
        rules: what a request ends with: the form that the checks demand, or nothing.
    """

    instruction: Path | None = None
    style: Literal["text", "strategies", "active-reading"] = "text"
    seed: int = 42
    config: Path | None = None
    tokenizer: str | None = None
    prompt_budget: int | None = None
    max_input_tokens: int | None = None
    rules: Literal["form", "none"] = "form"

    def plan(self) -> "PromptPlan":
        """The plan; reads the instruction, the pool, the config and the tokenizer.

        Raises:
            CFTError: one of them cannot be read.
        """
        from axolotl_cft.generation.instructions import NAME_STRATEGIES, TEXT_ADAPT_CFT
        from axolotl_cft.generation.prompting import PromptPlan
        from axolotl_cft.host.tokens import read_tokens
        from axolotl_cft.prompts.registry import load_pool

        studied = self.style == "active-reading"
        own = read_instruction(self.instruction, TEXT_ADAPT_CFT)
        return PromptPlan(
            instruction=NAME_STRATEGIES if studied else own,
            strategies=load_pool("paper") if self.style == "strategies" else None,
            seed=self.seed,
            tokens=read_tokens(self.config, self.tokenizer, self.prompt_budget),
            max_input_tokens=self.max_input_tokens or DOCUMENT_TOKENS,
            rules=self.rules == "form" and not studied,
        )


@dataclasses.dataclass(frozen=True)
class CorpusPromptOptions(PromptOptions):
    """How contextual prompts for the texts of a corpus are asked for.

    Attributes:
        per: what gets a prompt of its own: each chunk that training with `config` will make, or
            each document. Chunks where there is a config, if None; but a conversation is never cut.
        part: whose chunks: those of `datasets`, or of `test_datasets` (`eval_sequence_len`).
        context_chars: characters before a chunk that are shown with it, for orientation.
    """

    per: Literal["chunk", "document"] | None = None
    part: Literal["train", "test"] = "train"
    context_chars: int = 0

    def plan(self, conversations: bool = False) -> "PromptPlan":
        """The plan; reads what `PromptOptions.plan` reads.

        Args:
            conversations: whether the texts are conversations.

        Raises:
            CFTError: one of them cannot be read, chunks are wanted of conversations, without a
                config, of a tokenizer that does not tell their texts, or by another tokenizer or
                budget than training's.
        """
        if conversations and self.per == "chunk":
            raise CFTError(
                "training cuts no conversation into chunks, so that each gets one prompt: ask per "
                "document"
            )
        plan = super().plan()
        whole = conversations or self.config is None
        if self.per == "document" or (self.per is None and whole):
            return plan
        if self.config is None:
            raise CFTError(
                "a prompt for each chunk needs the config of the training, whose tokenizer, "
                "sequence_len and cft.prompt_budget make the chunks; name it with --config, or "
                "ask per document"
            )
        from axolotl_cft.host.tokens import chunk_finder

        return dataclasses.replace(
            plan,
            finder=chunk_finder(self.config, plan.tokens, self.part),
            context_chars=self.context_chars,
            max_input_tokens=self.max_input_tokens,
        )


@dataclasses.dataclass(frozen=True)
class Closing:
    """What becomes of rejected answers, and the form of the rows written.

    Attributes:
        format_: of the rows; None for jsonl where JSON lines came in, else parquet.
        fallback: pool that gives texts without a usable prompt one of its own.
        drop_rejects: leave out rows without a usable answer.
        retry_rejects: ask again what an earlier run gave up.
        price_in: money for a million tokens in; None where nobody asks for the cost.
        price_out: the same for tokens out; both, or neither.
    """

    format_: Literal["jsonl", "parquet"] | None = None
    fallback: str | None = None
    drop_rejects: bool = False
    retry_rejects: bool = False
    price_in: float | None = None
    price_out: float | None = None

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """The money for so many tokens; None without both prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6

    def pool(self) -> "PromptPool | None":
        """The pool to fall back on, if there is to be one.

        Raises:
            CFTError: there is no such pool, or its prompts need columns of a row.
        """
        from axolotl_cft.prompts.registry import load_pool

        pool = load_pool(self.fallback) if self.fallback else None
        if pool and (missing := sorted(pool.columns - pool.defaults.keys())):
            raise CFTError(
                f"the prompts of {self.fallback} need the column {missing[0]!r}, which no stand-in "
                "fills in: fall back on a pool without columns"
            )
        return pool


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run would ask.

    Attributes:
        lines: what there is -> how many.
        tokens_in: of all requests.
        tokens_out: of all answers, at most, if each fits the first time.
    """

    lines: Mapping[str, int]
    tokens_in: int
    tokens_out: int


def read_instruction(path: Path | None, default: str) -> str:
    """The text of an instruction file, or the default.

    Raises:
        CFTError: the file cannot be read or is empty.
    """
    if path is None:
        return default
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise CFTError(f"the instruction {path} cannot be read: {exc}") from exc
    if not text:
        raise CFTError(f"the instruction {path} is empty; write into it what the model is to do")
    return text


def identity_of(
    command: str, keys: Iterable[str | None], endpoint: Endpoint, plan: "PromptPlan"
) -> dict[str, Any]:
    """What decides a run's rows, for its ledger.

    The endpoint's address, how hard it is pressed, and keys among the request fields do not matter.
    """
    listed = [key or "" for key in keys]
    digest = hashlib.sha256("\n".join(listed).encode()).hexdigest()
    return {
        "command": command,
        "input": f"{len(listed)} rows, digest {digest[:16]}",
        "model": endpoint.named_model(),
        "request": hide_secrets(endpoint.request),
        **plan.identity(),
    }
