"""The ledger: what was read, what is trained, and what the prompts cost."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from axolotl_cft.core.encoding import Ids

NO_PROMPT = "(none)"
"""Key in `prompt_counts` for rows and places without a prompt."""

_MODULUS = 2**128


@dataclass
class Ledger:
    """Counts over one or more encoded datasets; tokens throughout unless said otherwise.

    Attributes:
        documents: rows of the source that were read.
        empty: of these, without a single token (or null).
        held_out: of these, in the held-out part.
        near_duplicates: of these, with a fifth or more of the text in the training part of the
            same data (`core/near_duplicates.py`); None where nobody looked.
        compared: held-out documents that were looked for there; the others are too short, or have
            no share in the sample.
        used: of these, encoded here.
        beyond_budget: documents left out because others fill `cft.trained_tokens`.
        repeated: of the used ones, those taken again because all together do not fill it.
        rows: rows made (chunks times views).
        text_tokens: the used documents' own tokens, each counted once.
        tokens_shown: of these, what the LLM that wrote the documents' prompts was shown, by the
            share of each text's characters; None where the data do not say.
        trained_tokens: tokens that bear loss, over all views, EOS included.
        prompt_tokens: tokens the prompts add (prompt, separator, template).
        total_tokens: length of all rows.
        prompts_truncated: prompts that were cut to fit `prompt_budget`.
        special_tokens_in_text: special-token ids that the texts themselves contain.
        fits_only_without_prompt: conversations that leave fewer than `prompt_budget` tokens
            free in a row, and get no prompt in any arm.
        longer_than_row: conversations longer than `sequence_len` on their own; what becomes of
            them is the host's choice (`excess_length_strategy`).
        prompts_not_placed: rows whose prompt the chat template does not show, or shows only by
            changing a target; kept without it.
        prompt_counts: rows by prompt id; places for a prompt, where a row has several.
        targets_digest: order-free digest of the chunks' targets, views not counted twice. Arms
            that train on the same tokens in the same chunks share it.
    """

    documents: int = 0
    empty: int = 0
    held_out: int = 0
    near_duplicates: int | None = None
    compared: int | None = None
    used: int = 0
    beyond_budget: int = 0
    repeated: int = 0
    rows: int = 0
    text_tokens: int = 0
    tokens_shown: int | None = None
    trained_tokens: int = 0
    prompt_tokens: int = 0
    total_tokens: int = 0
    prompts_truncated: int = 0
    special_tokens_in_text: int = 0
    fits_only_without_prompt: int = 0
    longer_than_row: int = 0
    prompts_not_placed: int = 0
    prompt_counts: Counter[str] = field(default_factory=Counter)
    targets_digest: int = 0

    @property
    def prompt_share(self) -> float:
        """Share of all tokens that the prompts add: the price of CFT over CPT."""
        return self.prompt_tokens / self.total_tokens if self.total_tokens else 0.0

    def add_row(self, *, trained: int, total: int) -> None:
        """Count a row that was made.

        Args:
            trained: tokens that bear loss.
            total: all of its tokens.
        """
        self.rows += 1
        self.trained_tokens += trained
        self.total_tokens += total

    def add_context(self, prompt_id: str | None, tokens: int, cut: bool = False) -> None:
        """Count what stands before a text.

        Args:
            prompt_id: of the prompt; None without one.
            tokens: those that the prompt adds.
            cut: whether the prompt was cut to fit `prompt_budget`.
        """
        self.prompt_counts[NO_PROMPT if prompt_id is None else prompt_id] += 1
        self.prompt_tokens += tokens
        self.prompts_truncated += cut

    def add_targets(self, chunks: Iterable[Ids]) -> None:
        """Enter the targets of a document's chunks into the digest."""
        for chunk in chunks:
            data = hashlib.blake2b(chunk.astype("<i4").tobytes(), digest_size=16).digest()
            self.targets_digest = (self.targets_digest + int.from_bytes(data, "big")) % _MODULUS

    def __add__(self, other: "Ledger") -> "Ledger":
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(Ledger)}
        merged = {
            name: a if b is None else b if a is None else a + b for name, (a, b) in pairs.items()
        }
        merged["targets_digest"] %= _MODULUS
        return Ledger(**merged)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; the digest as 32 hex digits, `prompt_share` beside the counts."""
        data = asdict(self)
        data["prompt_counts"] = dict(sorted(self.prompt_counts.items()))
        data["targets_digest"] = f"{self.targets_digest:032x}"
        data["prompt_share"] = round(self.prompt_share, 6)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Ledger":
        """Inverse of `to_dict`; unknown keys are ignored."""
        known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
        known["prompt_counts"] = Counter(known.get("prompt_counts", {}))
        known["targets_digest"] = int(known.get("targets_digest", "0"), 16)
        return cls(**known)

    def lines(self) -> list[str]:
        """The ledger as text, one fact per line."""
        counts = ", ".join(f"{id_} {n:,}" for id_, n in self.prompt_counts.most_common())
        lines = [
            f"documents        {self.documents:,} read, {self.empty:,} empty, "
            f"{self.held_out:,} held out, {self.used:,} used",
            f"rows             {self.rows:,}",
            f"text tokens      {self.text_tokens:,}",
            f"trained tokens   {self.trained_tokens:,}",
            f"prompt tokens    {self.prompt_tokens:,} ({self.prompt_share:.2%} of all tokens)",
            f"prompts          {counts or NO_PROMPT}",
            f"targets digest   {self.targets_digest:032x}",
        ]
        if self.beyond_budget or self.repeated:
            lines.append(
                f"budget           {self.beyond_budget:,} documents left out, {self.repeated:,} "
                "taken again, to train as many tokens as cft.trained_tokens says"
            )
        if self.tokens_shown is not None:
            share = self.tokens_shown / max(1, self.text_tokens)
            lines.append(
                f"prompts saw      {self.tokens_shown:,} of the text tokens ({share:.1%}): the "
                "LLM that wrote them was shown no more"
            )
        if self.near_duplicates is not None:
            lines.append(
                f"near duplicates  {self.near_duplicates:,} of the {self.compared:,} held-out "
                "documents compared, a fifth or more of whose text is trained on"
            )
        if self.prompts_truncated:
            lines.append(f"prompts cut      {self.prompts_truncated:,}, to fit prompt_budget")
        if self.special_tokens_in_text:
            lines.append(
                f"special tokens   {self.special_tokens_in_text:,} inside the texts, "
                "kept as the tokenizer makes them"
            )
        if self.fits_only_without_prompt:
            lines.append(
                f"without prompt   {self.fits_only_without_prompt:,} conversations, which leave "
                "less than prompt_budget free"
            )
        if self.longer_than_row:
            lines.append(
                f"too long         {self.longer_than_row:,} conversations exceed sequence_len; "
                "see the host's excess_length_strategy"
            )
        if self.prompts_not_placed:
            lines.append(
                f"not placed       {self.prompts_not_placed:,} rows go without their prompt, "
                "which the template shows nowhere or only by changing a target"
            )
        return lines
