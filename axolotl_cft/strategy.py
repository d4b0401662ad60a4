"""Axolotl's prompt strategy `type: cft`: documents in, rows of token ids out.

The edge between the pure modules and the host: texts come from an Arrow table, ids from the
tokenizer's Rust core, rows go back as an Arrow table. Axolotl finds `load` through
axolotl/prompt_strategies/__init__.py::load and calls `CFTStrategy.wrap_dataset`.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from axolotl.prompt_tokenizers import DatasetWrappingStrategy
from axolotl.utils.data.shared import generate_dataset_hash_from_config, get_prepared_dataset_path
from axolotl.utils.logging import get_logger
from datasets import Dataset, Features, IterableDataset, Value
from datasets import List as ListFeature

from axolotl_cft.config import STAMP_PREFIX, ColumnPrompts, Plan
from axolotl_cft.encoding import Frame, Ids, RowBuffer, encode_document
from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.ledger import NO_PROMPT, Ledger
from axolotl_cft.prompts import PromptPool
from axolotl_cft.sampling import draw, is_dropped, is_held_out, text_key

LOG = get_logger(__name__)

PLANS: dict[str, Plan] = {}
"""Plans by stamp, filled by `CFTPlugin.register`, which is the only one to see the raw config."""

FEATURES = Features(
    {
        "input_ids": ListFeature(Value("int32")),
        "attention_mask": ListFeature(Value("int8")),
        "labels": ListFeature(Value("int64")),
    }
)
"""The host's own column types: int32 labels could not be concatenated with other strategies'."""

BATCH_BYTES = 16 << 20
"""Text bytes aimed at in one batch: bounds memory whatever the documents' length."""

PINNED_DATE = datetime(2024, 7, 26)
"""The date that chat templates see, so that a prepared dataset does not depend on the day."""


def load(tokenizer: Any, cfg: Any, ds_cfg: Any = None) -> "CFTStrategy":
    """Entry point of the strategy (axolotl/prompt_strategies/__init__.py::load).

    Args:
        tokenizer: the run's tokenizer.
        cfg: the validated config.
        ds_cfg: one element of `datasets` or `test_datasets`.

    Raises:
        CFTError: the plugin was not registered for this config, or a prompt does not fit.
    """
    stamp = (ds_cfg or {}).get("conversation") or ""
    plan = PLANS.get(stamp)
    if plan is None:
        raise CFTError(
            f"dataset {(ds_cfg or {}).get('path')}: `type: {(ds_cfg or {}).get('type')}` works "
            "only with the plugin; add `plugins: [axolotl_cft.CFTPlugin]` to the config"
        )
    sequence_len = cfg.sequence_len
    if plan.part == "test" and cfg.eval_sequence_len:
        sequence_len = cfg.eval_sequence_len
    encoder = DocumentEncoder(tokenizer, plan, sequence_len)
    ledger_file = _prepared_ledger(cfg, plan.part, tokenizer.name_or_path)
    label = _label(plan.path, ds_cfg)
    return CFTStrategy(encoder, ds_cfg.get("field") or "text", label, ledger_file)


class CFTStrategy(DatasetWrappingStrategy):
    """Encodes a dataset of raw documents.

    Args:
        encoder: makes rows of documents.
        field: column that holds the text.
        label: what to call the dataset in the ledger.
        ledger_file: where to keep the ledger, None for nowhere.
    """

    def __init__(
        self,
        encoder: "DocumentEncoder",
        field: str,
        label: str = "",
        ledger_file: Path | None = None,
    ):
        self.encoder = encoder
        self.field = field
        self.label = label or encoder.plan.path
        self.ledger_file = ledger_file

    def wrap_dataset(
        self,
        dataset: Dataset | IterableDataset,
        process_count: int | None = None,
        keep_in_memory: bool | None = False,
        **kwargs: Any,
    ) -> Dataset | IterableDataset:
        """Encode `dataset` (axolotl/utils/data/wrappers.py::_handle_loaded_strategy).

        One process writes; the tokenizer's own threads do the work (`process_count` is not
        needed, and its forks would switch those threads off). The result carries the stamp and
        the ledger in `info.description`, which survives what the host does to it later.

        Raises:
            CFTError: the text column or a prompt column is missing, or nothing is left to train.
        """
        columns = dataset.column_names
        if columns is not None:
            self._check_columns(columns)
        if isinstance(dataset, IterableDataset):
            LOG.info("cft: a streaming dataset has no ledger and no stamp")
            return dataset.map(
                self._encode_lists, batched=True, remove_columns=columns, features=FEATURES
            )
        self._check_text(dataset.data.schema.field(self.field).type)
        self.encoder.ledger = Ledger()
        encoded = dataset.with_format("arrow").map(
            self._encode_table,
            batched=True,
            batch_size=_batch_size(dataset, self.field),
            remove_columns=columns,
            features=FEATURES,
            keep_in_memory=bool(keep_in_memory),
            # The prepared folder is the cache. A map cache beside it would not see code changes,
            # and a hit would leave the ledger empty.
            load_from_cache_file=False,
            desc=f"Contextual fine-tuning ({self.encoder.plan.prompts_name})",
        )
        self._check_result(len(encoded))
        encoded = encoded.with_format(None)
        entry = describe(self.encoder.plan, self.label, self.encoder.ledger)
        encoded.info.description = STAMP_PREFIX + json.dumps(entry)
        self._publish(entry)
        return encoded

    def _publish(self, entry: dict[str, Any]) -> None:
        """Print the ledger and keep it beside the prepared folder (inside it would break it)."""
        heading = f"cft: {self.label}, {entry['part']} part, prompts: {entry['prompts']}"
        LOG.info("\n  ".join([heading, *self.encoder.ledger.lines()]))
        if self.ledger_file is None:
            return
        entries = []
        if self.ledger_file.exists():
            entries = json.loads(self.ledger_file.read_text(encoding="utf-8"))["datasets"]
        same = (entry["stamp"], entry["path"])
        entries = [e for e in entries if (e["stamp"], e["path"]) != same] + [entry]
        content = json.dumps({"schema": 1, "datasets": entries}, indent=2)
        write_atomic(self.ledger_file, content + "\n")

    def _check_columns(self, columns: Sequence[str]) -> None:
        path, wanted = self.encoder.plan.path, {self.field: "field"}
        prompts = self.encoder.plan.options.prompts
        if isinstance(prompts, ColumnPrompts):
            wanted[prompts.column] = "cft.prompts.column"
        for column, option in wanted.items():
            if column not in columns:
                raise CFTError(
                    f"dataset {path} has no column '{column}'; set `{option}` to one of "
                    f"{', '.join(columns)}"
                )

    def _check_text(self, type_: pa.DataType) -> None:
        if not (pa.types.is_string(type_) or pa.types.is_large_string(type_)):
            raise CFTError(
                f"dataset {self.encoder.plan.path}: column '{self.field}' holds {type_}, not text; "
                "name the text column in `field`"
            )

    def _check_result(self, rows: int) -> None:
        if rows:
            return
        ledger, plan = self.encoder.ledger, self.encoder.plan
        if plan.part == "test" and plan.holdout:
            raise CFTError(
                f"dataset {plan.path}: none of its {ledger.documents} documents fell into the "
                f"held-out part; raise cft.holdout (now {plan.holdout}) or, for a test file of "
                "its own, set it to 0"
            )
        raise CFTError(
            f"dataset {plan.path}: nothing to train on: {ledger.documents} documents read, "
            f"{ledger.empty} empty, {ledger.held_out} held out; check `path`, `field: "
            f"{self.field}` and cft.holdout"
        )

    def _encode_table(self, table: pa.Table) -> pa.Table:
        """An Arrow table of documents to an Arrow table of rows."""
        column = table.column(self.field)
        self._check_text(column.type)
        rows = RowBuffer()
        begin = 0
        for end in _cut_by_bytes(column):
            part = table.slice(begin, end - begin)
            self.encoder.encode(
                part.column(self.field).to_pylist(), self.encoder.row_values(part), rows
            )
            begin = end
        return _to_arrow(rows)

    def _encode_lists(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """A batch of a streaming dataset; its columns may be known only now."""
        self._check_columns(list(batch))
        return _to_arrow_dict(self._encode_table(pa.table(dict(batch))))


@dataclass(frozen=True)
class Context:
    """A prompt as it stands before a text: its id in the ledger, its ids, whether it was cut."""

    prompt_id: str
    ids: Ids
    truncated: bool


class DocumentEncoder:
    """Turns texts into rows, and keeps the ledger while it does.

    Args:
        tokenizer: a Hugging Face tokenizer.
        plan: how to encode.
        sequence_len: most tokens in a row.

    Raises:
        CFTError: no EOS, no chat template where one is needed, a prompt that does not fit
            `prompt_budget`, or no room left for text.
    """

    def __init__(self, tokenizer: Any, plan: Plan, sequence_len: int):
        self.tokenizer = tokenizer
        self.plan = plan
        self.ledger = Ledger()
        self.frame = _frame(tokenizer, plan.options.prompt_budget, sequence_len)
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self.special_ids = np.asarray(sorted(special), dtype=np.int32)
        self._text_ids = _fast_encoder(tokenizer)
        # A pool's prompts recur; prompts from columns mostly do not, hence the bound.
        self._context = functools.lru_cache(maxsize=4096)(self._encode_prompt)
        self._check_pool()

    def _check_pool(self) -> None:
        pool, budget = self.plan.pool, self.frame.prompt_budget
        if pool is None or pool.columns:
            return
        needed = {
            p.id: self._encode_prompt(p.id, p.fill({}), cut=False).ids.size for p in pool.prompts
        }
        worst = max(needed, key=needed.__getitem__)
        if needed[worst] > budget:
            raise CFTError(
                f"{pool.origin or pool.name}: prompt '{worst}' takes {needed[worst]} tokens with "
                f"what surrounds it, more than cft.prompt_budget: {budget}; set it to at least "
                f"{needed[worst]}"
            )

    def row_values(self, table: pa.Table) -> Sequence[Mapping[str, Any]]:
        """The values that prompts need of each row, as mappings (empty ones for a plain pool)."""
        prompts, pool = self.plan.options.prompts, self.plan.pool
        if isinstance(prompts, ColumnPrompts):
            return table.select([prompts.column]).to_pylist()
        if pool is not None and pool.columns:
            present = [name for name in pool.columns if name in table.column_names]
            return table.select(present).to_pylist() if present else [{}] * len(table)
        return [{}] * len(table)

    def encode(
        self, texts: Sequence[str | None], values: Sequence[Mapping[str, Any]], rows: RowBuffer
    ) -> None:
        """Append the rows of `texts` to `rows` and count them.

        Args:
            texts: documents; None counts as empty.
            values: of each document, what its prompts need.
            rows: receives the rows in order.
        """
        chosen = list(self._select(texts))
        with _tokenizer_threads():
            ids_of = self._text_ids([texts[i] for i, _ in chosen])
        for (index, key), ids in zip(chosen, ids_of, strict=True):
            if len(ids) == 0:
                self.ledger.empty += 1
                continue
            self._encode_one(np.asarray(ids, dtype=np.int32), key, values[index], rows)

    def _select(self, texts: Sequence[str | None]) -> Iterator[tuple[int, bytes]]:
        """Indices and keys of the documents of this part."""
        for index, text in enumerate(texts):
            self.ledger.documents += 1
            if not text:
                self.ledger.empty += 1
                continue
            key = text_key(text)
            held_out = is_held_out(key, self.plan.holdout)
            self.ledger.held_out += held_out
            if not self.plan.holdout or held_out == (self.plan.part == "test"):
                yield index, key

    def _encode_one(self, ids: Ids, key: bytes, values: Mapping[str, Any], rows: RowBuffer) -> None:
        contexts: list[Context | None] = []

        def contexts_of(chunk: int) -> list[Ids | None]:
            drawn = self._draw(key, chunk, values)
            contexts.extend(drawn)
            return [None if context is None else context.ids for context in drawn]

        first = len(rows)
        chunks = encode_document(ids, self.frame, contexts_of, rows)
        self._count(ids, chunks, contexts, rows, first)

    def _draw(self, key: bytes, chunk: int, values: Mapping[str, Any]) -> list[Context | None]:
        """One context (or None) for each view of a chunk."""
        options, pool = self.plan.options, self.plan.pool
        seed = options.seed or 0
        prompts: list[tuple[str, str]] = []
        if isinstance(options.prompts, ColumnPrompts):
            prompts = [(options.prompts.column, self._column_prompt(values))]
        elif pool is not None:
            ids = [prompt.id for prompt in pool.prompts]
            weights = [prompt.weight for prompt in pool.prompts]
            picked = draw(ids, weights, seed, key, chunk, options.views)
            prompts = [(ids[i], self._filled(pool, i, values)) for i in picked]
        else:
            return [None]
        return [
            None
            if is_dropped(seed, key, chunk, view, options.dropout)
            else self._context(id_, text)
            for view, (id_, text) in enumerate(prompts)
        ]

    def _column_prompt(self, values: Mapping[str, Any]) -> str:
        column = self.plan.options.prompts.column  # type: ignore[union-attr]
        prompt = values[column]
        if not isinstance(prompt, str) or not prompt.strip():
            raise CFTError(
                f"dataset {self.plan.path}: document {self.ledger.documents} has no prompt in "
                f"column '{column}'; fill it (`axolotl-cft generate --fallback paper` does) or "
                "drop the row"
            )
        return prompt

    def _filled(self, pool: PromptPool, index: int, values: Mapping[str, Any]) -> str:
        prompt = pool.prompts[index]
        if not prompt.columns:
            return prompt.fill({})
        known = {**pool.defaults, **{k: v for k, v in values.items() if v is not None}}
        missing = sorted(prompt.columns - known.keys())
        if missing:
            raise CFTError(
                f"dataset {self.plan.path}: a document has no value for '{missing[0]}', which "
                f"prompt '{prompt.id}' of {pool.origin or pool.name} names; add the column or a "
                "line under the pool's `defaults`"
            )
        return prompt.fill(known)

    def _encode_prompt(self, prompt_id: str, text: str, cut: bool = True) -> Context:
        """The ids that stand before a text: BOS, prompt and separator, or a rendered user turn."""
        budget = self.frame.prompt_budget
        if self.plan.options.format == "chat":
            ids = self._render_chat(text)
            truncated = cut and len(ids) > budget
            keep = len(self._plain_ids(text))
            while cut and len(ids) > budget and keep > 0:
                keep -= max(1, len(ids) - budget)
                shorter = self.tokenizer.decode(self._plain_ids(text)[: max(keep, 0)])
                ids = self._render_chat(shorter)
        else:
            ids = [*self.frame.start, *self._plain_ids(text + self.plan.options.separator)]
            truncated = cut and len(ids) > budget
            if truncated:
                separator = self._plain_ids(self.plan.options.separator)
                head = [*self.frame.start, *self._plain_ids(text)]
                ids = [*head[: budget - len(separator)], *separator]
        return Context(prompt_id, np.asarray(ids, dtype=np.int32), truncated)

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _render_chat(self, prompt: str) -> list[int]:
        """User turn and generation prompt of the tokenizer's template, the date pinned."""
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            date_string=PINNED_DATE.strftime("%d %b %Y"),
            strftime_now=PINNED_DATE.strftime,
        )
        return self._plain_ids(rendered)

    def _count(
        self,
        ids: Ids,
        chunks: list[Ids],
        contexts: list[Context | None],
        rows: RowBuffer,
        first: int,
    ) -> None:
        ledger = self.ledger
        ledger.used += 1
        ledger.text_tokens += ids.size
        ledger.special_tokens_in_text += int(np.isin(ids, self.special_ids).sum())
        ledger.add_targets(chunks)
        bare = max(1, len(self.frame.start))
        for context, row_context, target in zip(
            contexts, rows.contexts[first:], rows.targets[first:], strict=True
        ):
            ledger.rows += 1
            ledger.trained_tokens += target.size
            ledger.total_tokens += row_context.size + target.size
            if context is None:
                ledger.prompt_counts[NO_PROMPT] += 1
                continue
            ledger.prompt_counts[context.prompt_id] += 1
            ledger.prompt_tokens += row_context.size - bare
            ledger.prompts_truncated += context.truncated


def describe(plan: Plan, label: str, ledger: Ledger) -> dict[str, Any]:
    """What a prepared dataset says of itself: stamp, source, part, prompts and ledger."""
    return {
        "stamp": plan.stamp,
        "path": label,
        "part": plan.part,
        "prompts": plan.prompts_name,
        "ledger": ledger.to_dict(),
    }


def descriptions(dataset: Dataset) -> list[dict[str, Any]]:
    """What `describe` said, one entry for each dataset that was merged into this one."""
    lines = (dataset.info.description or "").splitlines()
    return [
        json.loads(line.removeprefix(STAMP_PREFIX))
        for line in lines
        if line.startswith(STAMP_PREFIX + "{")
    ]


def _prepared_ledger(cfg: Any, part: str, tokenizer_name: str) -> Path | None:
    """`<prepared>/<hash>.cft_ledger.json`, beside the folder that the host will write."""
    if cfg.streaming:
        return None
    configs = cfg.datasets if part == "train" else cfg.test_datasets
    hash_ = generate_dataset_hash_from_config(cfg, configs, tokenizer_name)
    folder = get_prepared_dataset_path(cfg, hash_)
    return folder.with_name(f"{folder.name}.cft_ledger.json")


def _label(path: str, ds_cfg: Mapping[str, Any]) -> str:
    """The dataset's path with whatever else tells its pieces apart."""
    name, shards = ds_cfg.get("name"), ds_cfg.get("shards")
    shard = f" shard {ds_cfg.get('shards_idx') or 0} of {shards}" if shards else ""
    return path + (f" ({name})" if name else "") + shard


def _frame(tokenizer: Any, prompt_budget: int, sequence_len: int) -> Frame:
    if tokenizer.eos_token_id is None:
        raise CFTError("the tokenizer has no EOS token; set special_tokens.eos_token in the config")
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a")["input_ids"]
    # What the tokenizer puts in front by itself is what the model was trained to expect; a BOS
    # that is defined but not set by default (Phi-3, say) is not.
    begin = next((i for i in range(len(special)) if special[i : i + len(plain)] == plain), 0)
    if sequence_len - prompt_budget < 2:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} leaves no room for text in sequence_len: "
            f"{sequence_len}; lower the one or raise the other"
        )
    frame = Frame(tuple(special[:begin]), tokenizer.eos_token_id, sequence_len, prompt_budget)
    if max(1, begin) > prompt_budget:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} has no room for BOS; set {begin} or more"
        )
    return frame


def _fast_encoder(tokenizer: Any) -> Callable[[list[Any]], list[list[int]]]:
    """`tokenizer(texts, add_special_tokens=False)`, straight from the Rust core where it agrees.

    `encode_batch_fast` leaves offsets out, which is where half the time goes.
    """

    def slow(texts: list[Any]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "encode_batch_fast"):
        return slow

    def fast(texts: list[Any]) -> list[list[int]]:
        # A call elsewhere may have left truncation or padding switched on in the shared core.
        backend.no_truncation()
        backend.no_padding()
        return [e.ids for e in backend.encode_batch_fast(texts, add_special_tokens=False)]

    specials = " ".join(map(str, tokenizer.all_special_tokens))
    probe = [f"Probe: héllo  wörld\n\n\t1,234 {specials} end", " leading", ""]
    return fast if fast(probe) == slow(probe) else slow


@contextmanager
def _tokenizer_threads() -> Iterator[None]:
    """Let the tokenizer use its threads; the host switches them off for the sake of its forks.

    `tokenizers` reads the variable at each call, so restoring it keeps those forks safe.
    """
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


def _batch_size(dataset: Dataset, field: str) -> int:
    """Documents in a batch so that it holds about BATCH_BYTES of text, at most 1,000."""
    total = pc.sum(pc.binary_length(dataset.data.table.column(field))).as_py() or 0
    mean = total / max(1, len(dataset.data))
    return max(1, min(1000, int(BATCH_BYTES / max(1.0, mean))))


def _cut_by_bytes(column: pa.ChunkedArray) -> list[int]:
    """Ends of consecutive slices of about BATCH_BYTES / 4 each, at least one document."""
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    groups = np.cumsum(lengths) // (BATCH_BYTES // 4)
    ends = (np.flatnonzero(np.diff(groups)) + 1).tolist()
    return [*ends, len(column)] if len(column) else []


def _to_arrow(rows: RowBuffer) -> pa.Table:
    offsets, input_ids, labels = rows.columns()
    ends = pa.array(offsets)
    values = {
        "input_ids": pa.array(input_ids),
        "attention_mask": pa.array(np.ones(input_ids.size, dtype=np.int8)),
        "labels": pa.array(labels),
    }
    columns = {name: pa.ListArray.from_arrays(ends, array) for name, array in values.items()}
    return pa.table(columns, schema=FEATURES.arrow_schema)


def _to_arrow_dict(table: pa.Table) -> dict[str, list[Any]]:
    return {name: table.column(name).to_pylist() for name in table.column_names}
