"""The rows that a config will train, decoded."""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.preview.cut_words import find_cuts, places_of

if TYPE_CHECKING:
    from axolotl_cft.core.options import Part
    from axolotl_cft.host.chat import ChatStrategy
    from axolotl_cft.host.documents import CFTStrategy
    from axolotl_cft.host.overrides import Overrides
    from axolotl_cft.host.preparing import PreparingStrategy


Span = tuple[str, bool]
"""A stretch of decoded text, and whether it is a special token."""


class Stretch(NamedTuple):
    """Consecutive tokens of a row that are all trained or all masked, decoded.

    Attributes:
        trained: whether they bear loss.
        spans: their text.
        begins_in_word: whether the text was cut within a word, whose end stands here.
        ends_in_word: whether it was cut within a word that goes on in the next chunk or segment.
    """

    trained: bool
    spans: list[Span]
    begins_in_word: bool = False
    ends_in_word: bool = False


@dataclass(frozen=True)
class PreviewRow:
    """One training row, decoded.

    Attributes:
        heading: document, chunk, prompt and token counts, as one line.
        segments: consecutive stretches of the row.
    """

    heading: str
    segments: list[Stretch]


@dataclass(frozen=True)
class DatasetPreview:
    """The first rows of one dataset, and the ledger of a sample of it.

    Attributes:
        title: the dataset, its part and where its prompts come from, as one line.
        rows: the first.
        ledger: as lines for readers.
        counts: the same for programs: what a prepared dataset says of itself, as in
            `axolotl_cft.records.PreparedDataset`, without its stamp.
    """

    title: str
    rows: list[PreviewRow]
    ledger: list[str]
    counts: Mapping[str, Any] = field(default_factory=dict)


def collect(
    config: Path,
    part: "Part" = "train",
    rows: int = 3,
    sample: int = 1000,
    overrides: "Overrides | None" = None,
) -> list[DatasetPreview]:
    """Encode the first documents of every CFT dataset in one part of a config.

    Args:
        config: an Axolotl YAML.
        part: `datasets` or `test_datasets`.
        rows: rows to decode of each dataset.
        sample: documents to read of each dataset.
        overrides: what a command line says of the config's keys (`host.overrides.read_words`).

    Raises:
        CFTError: what training would refuse about the config, its pools or its data.
    """
    os.environ.setdefault("AXOLOTL_DO_NOT_TRACK", "1")  # looking is nothing to report
    with quiet_imports():
        import axolotl.cli.config  # noqa: F401  (sets up the host's logging)
        from axolotl.loaders import load_tokenizer
        from axolotl.utils.data.shared import datasets_with_name_generator
        from datasets import disable_progress_bars

        from axolotl_cft.host import chat
        from axolotl_cft.host import documents as strategy
        from axolotl_cft.host.config import attempt, load_config
        from axolotl_cft.host.plan import is_cft_type, is_chat_type

    disable_progress_bars()  # a process that previews shows its own
    cfg = load_config(config, overrides)
    key = "datasets" if part == "train" else "test_datasets"
    chosen = [item for item in cfg[key] or [] if is_cft_type(item.type)]
    if not chosen:
        raise CFTError(f"{config}: no dataset under `{key}` has `type: cft`, so nothing to show")
    tokenizer = attempt(f"{config}: base_model {cfg.base_model}", load_tokenizer, cfg)
    previews = []
    for item in datasets_with_name_generator(chosen):
        load = chat.load if is_chat_type(item.type) else strategy.load
        documents = _first_documents(item, cfg, part, sample)
        texts = load(tokenizer, cfg, item)
        texts.is_sample = len(documents) == sample
        previews.append(_preview(texts, tokenizer, documents, rows))
    return previews


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep back what libraries say while they are imported, mostly about GPUs not needed here.

    The host reads its log level when it is imported: warnings and above are shown later on.
    """
    level = os.environ.get("AXOLOTL_LOG_LEVEL")
    os.environ["AXOLOTL_LOG_LEVEL"] = level or "WARNING"
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        if level is None:
            del os.environ["AXOLOTL_LOG_LEVEL"]


def _first_documents(item: Any, cfg: Any, part: "Part", count: int) -> Any:
    """The first documents of a dataset, streamed if possible."""
    from datasets import Dataset

    from axolotl_cft.host.config import attempt
    from axolotl_cft.host.raw_documents import load_documents

    def load() -> Any:
        rows = load_documents(item, part, cfg.hf_use_auth_token, cfg.seed)
        return Dataset.from_list(list(islice(rows, count)))

    return attempt(f"dataset {item.path}", load)


def _preview(
    texts: "PreparingStrategy", tokenizer: Any, documents: Any, count: int
) -> DatasetPreview:
    """Encode a sample for its ledger, then its first documents one by one for their rows."""
    from axolotl_cft.core.ledger import Ledger
    from axolotl_cft.host.documents import CFTStrategy
    from axolotl_cft.host.preparing import descriptions

    texts.plan = texts.encoder.plan = texts.plan.of_a_sample()
    texts.ledger_file = None  # it belongs beside a prepared dataset, and this makes none
    entry = descriptions(texts.wrap_dataset(documents))[0]
    rows: list[PreviewRow] = []
    for number, document in enumerate(documents, start=1):
        if isinstance(texts, CFTStrategy):
            made = _document_rows(tokenizer, texts, document, number)
        else:
            made = _conversation_rows(texts, document, number)
        rows += [_decode_row(tokenizer, row) for row in made]
        if len(rows) >= count:
            break
    title = f"{texts.label} · {entry.part} part · prompts: {entry.prompts}"
    ledger = Ledger.from_dict(dict(entry.ledger)).lines()
    # A stamp tells prepared datasets apart, and this is none.
    counts = {name: each for name, each in entry.content().items() if name != "stamp"}
    return DatasetPreview(visible(title), rows[:count], ledger, counts)


class Made(NamedTuple):
    """A row before it is decoded.

    Attributes:
        where: the document it comes from, and which part of it.
        prompts: ids of its prompts; None without one.
        ids: its tokens.
        labels: of these, IGNORE_INDEX where they are masked.
        word_cuts: the tokens before which the text was cut within a word, or where such a cut ends
            the row (`len(ids)`).
    """

    where: list[str]
    prompts: str | None
    ids: Sequence[int]
    labels: Sequence[int]
    word_cuts: Set[int] = frozenset()


_NAMED = 4
"""Prompts of a row that its heading names."""


def _document_rows(
    tokenizer: Any, texts: "CFTStrategy", document: Mapping[str, Any], number: int
) -> Iterator[Made]:
    """The rows of a document; none if it is empty or belongs to the other part."""
    from axolotl_cft.core.encoding import lay_out

    views = texts.plan.options.views
    rows = texts.encoder.encode([document[texts.field]], [document])
    chunks = len(rows) // views
    cuts = find_cuts(tokenizer, rows)
    for row in rows:
        where = [f"document {number}"]
        where += [f"chunk {row.chunk + 1} of {chunks}"] if chunks > 1 else []
        where += [f"view {row.view + 1} of {views}"] if views > 1 else []
        _, ids, labels = lay_out([row])
        prompts = [segment.prompt_id or "none" for segment in row.segments]
        more = f" and {len(prompts) - _NAMED} more" if len(prompts) > _NAMED else ""
        yield Made(
            where,
            ", ".join(prompts[:_NAMED]) + more,
            ids.tolist(),
            labels.tolist(),
            places_of(row, cuts),
        )


def _conversation_rows(
    texts: "ChatStrategy", conversation: Mapping[str, Any], number: int
) -> Iterator[Made]:
    """The rows of a conversation; none if it is empty or belongs to the other part."""
    from axolotl_cft.core.ledger import Ledger

    plan, key = texts.plan, texts.key_if_ours(conversation, Ledger())
    if key is None:
        return
    rows = texts.encoder.encode(conversation, number, key, Ledger())
    for view, row in enumerate(rows, start=1):
        views = plan.options.views
        where = [f"conversation {number}"] + ([f"view {view} of {views}"] if views > 1 else [])
        yield Made(where, row.prompt_id, row.ids, row.labels.tolist())


def _decode_row(tokenizer: Any, made: Made) -> PreviewRow:
    trained = [label != IGNORE_INDEX for label in made.labels]
    segments, begin = [], 0
    for is_trained, group in groupby(trained):
        end = begin + len(list(group))
        spans = decode_spans(tokenizer, [int(token) for token in made.ids[begin:end]])
        cuts = [is_trained and place in made.word_cuts for place in (begin, end)]
        segments.append(Stretch(is_trained, spans, *cuts))
        begin = end
    masked = len(trained) - sum(trained)
    counts = f"{masked} masked + {sum(trained)} trained tokens"
    heading = [*made.where, f"prompt: {made.prompts or 'none'}", counts]
    return PreviewRow(visible(" · ".join(heading)), segments)


def decode_spans(tokenizer: Any, ids: Sequence[int]) -> list[Span]:
    """Decode ids, special tokens apart.

    What lies between two special tokens is decoded as a whole, since a character may take
    several tokens.
    """
    from axolotl_cft.core.documents import special_ids

    special = special_ids(tokenizer)
    spans: list[Span] = []
    for is_special, group in groupby(ids, key=special.__contains__):
        run = list(group)
        if is_special:
            spans += [(visible(token), True) for token in tokenizer.convert_ids_to_tokens(run)]
        else:
            spans.append((visible(_decode(tokenizer, run)), False))
    return spans


_UNREADABLE = "\ufffd"
_OF_A_CHARACTER = range(4)
"""Tokens of a character, of four bytes at most, that a cut may leave on one side."""


def _decode(tokenizer: Any, run: Sequence[int]) -> str:
    """The text of tokens, as much of it as can be read.

    Of bytes in a row that begin or end within a character, some tokenizers read none (Llama-2's,
    by `ByteFallback` of `tokenizers`): these are then decoded apart from the rest.
    """

    def decode(ids: Sequence[int]) -> str:
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    text = decode(run)
    if _UNREADABLE not in text:
        return text
    apart = [
        decode(run[:begin]) + decode(run[begin : len(run) - end]) + decode(run[len(run) - end :])
        for begin in _OF_A_CHARACTER
        for end in _OF_A_CHARACTER
        if begin + end < len(run)
    ]
    return min([text, *apart], key=lambda text: text.count(_UNREADABLE))


_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # which turn the direction of a text
)


def visible(text: str) -> str:
    """The text with `⟨U+001B⟩` for a control character, so that none can steer what shows it.

    Neither a terminal (escape sequences) nor the order in which the letters of a line are drawn
    (the bidirectional controls of Unicode's annex 9). Unicode's pictures of control characters are
    no choice: few fonts have them.
    """
    return _CONTROL.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)
