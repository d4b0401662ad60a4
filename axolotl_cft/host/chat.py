"""Axolotl's prompt strategy `type: cft.chat`: a contextual prompt in every conversation.

The host's own `chat_template` strategy decides what is trained; this one adds the prompt and
carries the host's labels over, so the targets are the host's to the token:

    host    [ <user> question <end> <assistant> | answer <end> ]
    ours    [ <user> prompt question <end> <assistant> | answer <end> ]      loss right of the bar
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from axolotl.prompt_strategies.chat_template import ChatTemplateStrategy
from axolotl.prompt_strategies.chat_template import load as load_host
from axolotl.utils.dict import remove_none_values
from axolotl.utils.logging import get_logger
from datasets import Dataset, Features, IterableDataset, Value
from jinja2 import TemplateError

from axolotl_cft.core.choice import Choice, Document
from axolotl_cft.core.contexts import PINNED_DATE
from axolotl_cft.core.conversations import Labels, Turns, carry_labels, put_prompt
from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.near_duplicates import NearDuplicates
from axolotl_cft.core.options import Plan
from axolotl_cft.core.sampling import letters_of, text_key
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import (
    FEATURES,
    IN_PLACE_OF_ENCODING,
    Preparation,
    PreparingStrategy,
    find_preparation,
    no_rows,
    processes_here,
)

LOG = get_logger(__name__)

BATCH_SIZE = 1000
"""Conversations in a batch, as in the host (axolotl/datasets.py::TokenizedPromptDataset)."""


class ChatRow(NamedTuple):
    """A training row of a conversation.

    Attributes:
        ids: token ids.
        labels: of the same length; IGNORE_INDEX where nothing is trained.
        prompt_id: of the prompt in it; None without one.
        cut: whether that prompt was cut to fit `prompt_budget`.
    """

    ids: Sequence[int]
    labels: Labels
    prompt_id: str | None = None
    cut: bool = False


def load(tokenizer: Any, cfg: Any, ds_cfg: Any = None, processor: Any = None) -> PreparingStrategy:
    """Entry point of the strategy (axolotl/prompt_strategies/__init__.py::load).

    Args:
        tokenizer: the run's tokenizer.
        cfg: the validated config.
        ds_cfg: one element of `datasets` or `test_datasets`; all options of `chat_template` hold.
        processor: of a multimodal model, must be None.

    Raises:
        CFTError: the plugin was not registered for this config, a processor is in use, or a
            prompt does not fit.
    """
    if (instead := IN_PLACE_OF_ENCODING.get()) is not None:
        return instead(tokenizer, cfg, ds_cfg)
    task = find_preparation(tokenizer, cfg, ds_cfg)
    if processor is not None:
        raise CFTError(
            f"dataset {task.plan.path}: `type: cft.chat` works on text; remove processor_type"
        )
    encoder = ChatEncoder(load_pinned(tokenizer, cfg, ds_cfg), task.plan, task.sequence_len)
    return ChatStrategy(encoder, task)


def load_pinned(tokenizer: Any, cfg: Any, ds_cfg: Any) -> ChatTemplateStrategy:
    """The host's strategy for a dataset; its template sees one fixed date, whatever the day."""
    host = load_host(tokenizer, cfg, ds_cfg)
    if host.prompter.chat_template:  # mistral-common renders without one, and knows no dates
        host.prompter.chat_template_kwargs = {
            "date_string": PINNED_DATE.strftime("%d %b %Y"),
            "strftime_now": PINNED_DATE.strftime,
            **host.prompter.chat_template_kwargs,
        }
    return host


class Conversation(NamedTuple):
    """What a row of conversations says.

    Attributes:
        whole: its messages and tools, as JSON.
        said: the messages' contents alone.
    """

    whole: str
    said: str

    @property
    def key(self) -> bytes:
        """What stands for it when prompts are drawn."""
        return text_key(self.whole)


class ChatEncoder:
    """Turns conversations into rows.

    Args:
        host: the host's strategy, set up for the dataset.
        plan: how to encode.
        sequence_len: most tokens in a row.

    Raises:
        CFTError: a prompt does not fit `prompt_budget`, or the template cannot show it.
    """

    def __init__(self, host: ChatTemplateStrategy, plan: Plan, sequence_len: int):
        self.host = host
        self.plan = plan
        self.sequence_len = sequence_len
        self._check_prompts()

    def read(self, row: Mapping[str, Any]) -> "Conversation | None":
        """What a row says; None if it has no messages.

        Raises:
            JSONDecodeError: messages or tools are a text, but not JSON.
        """
        prompter = self.host.prompter
        messages, tools = (
            json.loads(value) if isinstance(value, str) and value else value
            for value in (row.get(prompter.field_messages), row.get(prompter.field_tools))
        )
        if not messages:
            return None
        # The loader fills a message with nulls for the keys that others have; they say nothing.
        content = remove_none_values({"messages": messages, "tools": tools})
        field = prompter.message_property_mappings.get("content", "content")
        turns = messages if isinstance(messages, list) else []
        said = [_as_text(turn.get(field)) for turn in turns if isinstance(turn, Mapping)]
        return Conversation(_as_json(content), "\n".join(said))

    def encode(
        self, row: Mapping[str, Any], number: int, key: bytes, ledger: Ledger
    ) -> Iterator[ChatRow]:
        """The rows (ids and labels) of a conversation, one for each view.

        Args:
            row: the dataset's row.
            number: its place in the dataset from 1, for messages.
            key: from `Conversation.key`.
            ledger: counts it.

        Raises:
            CFTError: the host cannot tokenize the conversation, or a prompt cannot be had.
        """
        wanted = self.plan.source.columns
        values = {name: row[name] for name in row if wanted is None or name in wanted}
        row = remove_none_values(row)
        try:
            # As a batch of one: the host takes a lone row whose messages are JSON text for a batch.
            encoded = self.host.tokenize_prompt({name: [value] for name, value in row.items()})
        except Exception as exc:
            raise CFTError(
                f"dataset {self.plan.path}: conversation {self.plan.before + number} cannot be "
                f"tokenized "
                f"({type(exc).__name__}: {exc}); fix or drop it"
            ) from exc
        ids, labels = encoded["input_ids"][0], np.asarray(encoded["labels"][0], dtype=np.int64)
        ledger.used += 1
        ledger.text_tokens += len(ids)
        ledger.add_targets([labels[labels != IGNORE_INDEX]])
        document = Document(self.plan.path, number, key, values)
        for choice in self._choices(document, len(ids), ledger):
            prompted = self._prompted(row, ids, labels, choice, ledger) if choice else None
            made = prompted or ChatRow(ids, labels)
            trained = int(np.count_nonzero(made.labels != IGNORE_INDEX))
            ledger.add_row(trained=trained, total=len(made.ids))
            ledger.add_context(made.prompt_id, len(made.ids) - len(ids), made.cut)
            yield made

    def _choices(self, document: Document, length: int, ledger: Ledger) -> Sequence[Any]:
        """A choice for each view, all of them None if the conversation leaves no room.

        This must not depend on which prompt was drawn, or whether one was: all arms agree.
        """
        options = self.plan.options
        if length > self.sequence_len:
            ledger.longer_than_row += 1
        elif length + options.prompt_budget > self.sequence_len:
            ledger.fits_only_without_prompt += 1
        else:
            return self.plan.choose(document, chunk=0)
        return [None] * options.views

    def _prompted(
        self,
        row: Mapping[str, Any],
        ids: Sequence[int],
        labels: Labels,
        choice: Choice,
        ledger: Ledger,
    ) -> "ChatRow | None":
        """The row with the prompt, cut to the budget; None if it cannot be placed."""
        prompt_id, prompt = choice
        turns = self.host.get_conversation_thread(row)
        # The host's own reading of the tools, which may be JSON text.
        tools = self.host._get_tools(row)
        longest = len(ids) + self.plan.options.prompt_budget
        longer, cut = self._render(turns, prompt, tools), False
        if longer is not None and len(longer) > longest:
            longer, cut = self._cut(turns, prompt, tools, longest), True
        carried = None
        if longer is not None and list(longer) != list(ids):
            carried = carry_labels(ids, labels, longer)
        if longer is None or carried is None:
            ledger.prompts_not_placed += 1
            return None
        return ChatRow(longer, carried, prompt_id, cut)

    def _render(self, turns: Turns, prompt: str, tools: Any = None) -> list[int] | None:
        """Ids of the conversation with the prompt; None if the template has no place for it."""
        options = self.plan.options
        prompted = put_prompt(turns, prompt, options.place, options.separator)
        try:
            if prompted is not None:
                return list(self.host.prompter.build_prompt(prompted, tools=tools))
        except TemplateError:
            pass  # it refuses a system message, say
        return None

    def _cut(self, turns: Turns, prompt: str, tools: Any, longest: int) -> list[int] | None:
        """`_render` with as much of the prompt as fits; None if nothing does."""
        tokenizer = self.host.tokenizer
        tokens = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        keep = len(tokens)
        longer = self._render(turns, prompt, tools)
        while longer is not None and len(longer) > longest:
            keep -= len(longer) - longest
            if keep < 1:
                return None
            longer = self._render(turns, tokenizer.decode(tokens[:keep]), tools)
        return longer

    def _check_prompts(self) -> None:
        """Try every prompt on the plainest conversations, with a system message and without."""
        plan, place = self.plan, self.plan.options.place
        if not plan.source.gives_prompts:
            return
        # Where no text is known beforehand, the shortest stands in for it.
        prompts = plan.source.known or {"a": "a"}
        exchange = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        for turns in (exchange, [{"role": "system", "content": "c"}, *exchange]):
            try:
                bare = self.host.prompter.build_prompt(turns)
            except TemplateError:
                continue  # the template takes no such conversation, so the data contain none
            rendered = {id_: self._render(turns, text) for id_, text in prompts.items()}
            if any(longer is None or longer == bare for longer in rendered.values()):
                other = "user" if place == "system" else "system"
                raise CFTError(
                    f"dataset {plan.path}: its chat template shows no {place} message, where the "
                    f"prompt should stand; set cft.place: {other}"
                )
            self._check_budget({id_: len(ids or ()) - len(bare) for id_, ids in rendered.items()})

    def _check_budget(self, needed: Mapping[str, int]) -> None:
        budget = self.plan.options.prompt_budget
        worst = max(needed, key=needed.__getitem__)
        if needed[worst] <= budget:
            return
        raise CFTError(
            f"{self.plan.source.label}: prompt '{worst}' adds {needed[worst]} tokens to a "
            f"conversation, more than cft.prompt_budget: {budget}; set it to at least "
            f"{needed[worst]}"
        )


class ChatStrategy(PreparingStrategy):
    """Encodes a dataset of conversations.

    Args:
        encoder: makes rows of conversations.
        task: the dataset.
    """

    def __init__(self, encoder: ChatEncoder, task: Preparation):
        super().__init__(encoder.host.prompter.field_messages, "field_messages", task)
        self.encoder = encoder

    def wrap_dataset(
        self,
        dataset: Dataset | IterableDataset,
        process_count: int | None = None,
        keep_in_memory: bool | None = False,
        **kwargs: Any,
    ) -> Dataset | IterableDataset:
        """Encode `dataset` (axolotl/utils/data/wrappers.py::_handle_loaded_strategy).

        Rendering templates is Python's work, so that, as in the host, it is spread over
        `process_count` processes. What they count comes back in a column.

        Raises:
            CFTError: a column is missing, a conversation cannot be tokenized, nothing is left to
                train, or no conversation takes a prompt.
        """
        columns = self.checked_columns(dataset)
        if isinstance(dataset, IterableDataset):
            LOG.info("cft: a streaming dataset has no ledger and no stamp")
            return dataset.map(
                self._encode_stream, batched=True, remove_columns=columns, features=FEATURES
            )
        near_duplicates = self.search_for_near_duplicates()
        ledger, chosen = self._choose(dataset, near_duplicates)
        if not chosen:
            return self.finish(no_rows(), ledger, near_duplicates)
        encoded = dataset.select(chosen).map(
            self._encode_batch,
            batched=True,
            batch_size=BATCH_SIZE,
            with_indices=True,
            fn_kwargs={"numbers": np.asarray(chosen, dtype=np.int64) + 1},
            remove_columns=columns,
            features=Features({**FEATURES, "ledger": Value("string")}),
            keep_in_memory=bool(keep_in_memory),
            load_from_cache_file=False,  # the prepared folder is the cache
            num_proc=self._processes(len(chosen), process_count),
            desc=f"Contextual fine-tuning of conversations ({self.plan.source.name})",
        )
        counted = filter(None, encoded.data.column("ledger").to_pylist())
        ledger = sum((Ledger.from_dict(json.loads(part)) for part in counted), ledger)
        if not (self.is_piece or self.streamed or self.is_slice):
            check_prompted(self.plan, ledger)
        return self.finish(encoded.remove_columns("ledger"), ledger, near_duplicates)

    def _processes(self, conversations: int, allowed: int | None) -> int | None:
        """How many processes are worth their start, None for this one alone."""
        # A stream is encoded in a worker of the data loader, which must not fork.
        alone = self.streamed or conversations <= BATCH_SIZE
        most = 1 if alone else processes_here(allowed)
        return most if most > 1 else None

    def _choose(
        self, dataset: Dataset, near_duplicates: NearDuplicates | None
    ) -> tuple[Ledger, list[int]]:
        """Counts of what is read, and the indices of this part's conversations."""
        prompter = self.encoder.host.prompter
        fields = [prompter.field_messages, prompter.field_tools, self.plan.holdout_by]
        present = [name for name in dataset.column_names if name in fields]
        ledger, chosen = Ledger(), []
        for batch in dataset.select_columns(present).iter(BATCH_SIZE):
            seen: list[tuple[bytes, bool]] = []
            for row in _rows(batch):
                if self.key_if_ours(row, ledger, seen) is not None:
                    chosen.append(ledger.documents - 1)
            if near_duplicates is not None:
                near_duplicates.add(seen)
        return ledger, chosen

    def key_if_ours(
        self,
        row: Mapping[str, Any],
        ledger: Ledger,
        seen: list[tuple[bytes, bool]] | None = None,
    ) -> bytes | None:
        """The key of a conversation of this part, else None; counts it as read.

        Args:
            row: the dataset's row.
            ledger: counts it.
            seen: gets its letters, and whether it is held out.

        Raises:
            CFTError: its messages are a text, but not JSON.
        """
        ledger.documents += 1
        try:
            conversation = self.encoder.read(row)
        except json.JSONDecodeError as exc:
            raise CFTError(
                f"dataset {self.plan.path}: conversation {self.plan.before + ledger.documents} is "
                f"a text, but not JSON ({exc}); fix it, or name the column of messages in "
                "`field_messages`"
            ) from exc
        if conversation is None:
            ledger.empty += 1
            return None
        letters = letters_of(conversation.said) if self.plan.holdout else b""
        # Of tool calls alone nothing is said.
        held_out = self.plan.holds_out(conversation.whole, letters, row)
        ledger.held_out += held_out
        if seen is not None:
            seen.append((letters, held_out))
        return conversation.key if self.plan.takes(held_out) else None

    def _encode_batch(
        self, batch: Mapping[str, list[Any]], indices: Sequence[int], numbers: npt.NDArray
    ) -> dict[str, list[Any]]:
        """A batch of this part's conversations, with what was counted in its first row."""
        ledger = Ledger()
        rows: list[ChatRow] = []
        for index, row in zip(indices, _rows(batch), strict=True):
            conversation = self.encoder.read(row)
            assert conversation is not None
            rows += self.encoder.encode(row, int(numbers[index]), conversation.key, ledger)
        counted = [json.dumps(ledger.to_dict())] + [""] * (len(rows) - 1)
        return {**_columns(rows), "ledger": counted}

    def _encode_stream(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """A batch of a streaming dataset."""
        ledger = Ledger()
        rows: list[ChatRow] = []
        for row in _rows(batch):
            key = self.key_if_ours(row, ledger)
            if key is not None:
                rows += self.encoder.encode(row, ledger.documents, key, ledger)
        return _columns(rows)


def check_prompted(plan: Plan, ledger: Ledger) -> None:
    """Refuse a run that asks for prompts and would train without a single one.

    Raises:
        CFTError: none of the conversations can take one; says why.
    """
    without = ledger.fits_only_without_prompt + ledger.longer_than_row
    lost = without + ledger.prompts_not_placed / plan.options.views
    if not plan.source.gives_prompts or lost < ledger.used:
        return
    if without:
        advice = "raise sequence_len or lower cft.prompt_budget"
    else:
        advice = f"set cft.place to something other than {plan.options.place}"
    raise CFTError(
        f"dataset {plan.path}: none of its {ledger.used} conversations can take a prompt "
        f"({without} are too long for it, in {ledger.prompts_not_placed} rows the template has "
        f"no place for it); {advice}"
    )


def _as_text(content: Any) -> str:
    """What a message says, which may be a list of several pieces; nothing in a mere tool call."""
    return content if isinstance(content, str) else "" if content is None else _as_json(content)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _rows(batch: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a batch, which comes as a mapping from column to values."""
    yield from (
        dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)
    )


def _columns(rows: Sequence[ChatRow]) -> dict[str, list[Any]]:
    return {
        "input_ids": [list(row.ids) for row in rows],
        "attention_mask": [[1] * len(row.ids) for row in rows],
        "labels": [row.labels.tolist() for row in rows],
    }
