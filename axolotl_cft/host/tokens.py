"""A model's tokenizer, and how many tokens a prompt or a text takes with it.

Without a tokenizer the count is a bound: three ASCII characters, or one byte of any other
character, count as one token. English prose has four to five characters per token, so this errs on
the safe side there; training checks the exact count again.
"""

import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from axolotl_cft.core.options import DatasetOptions
from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.places import refuse_absent
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.plan import cft_datasets, parse_options

if TYPE_CHECKING:
    from axolotl_cft.core.contexts import ContextEncoder
    from axolotl_cft.core.cuts import ChunkFinder
    from axolotl_cft.core.options import Part


_REACH = 8
"""Characters that hold as many tokens, in nearly all texts."""


@dataclass(frozen=True)
class Tokens:
    """Token counts of prompts and texts.

    Attributes:
        options: `format`, `separator`, `prompt_budget` and `every`; the others are their defaults.
        name: the tokenizer's name or path; None without one.
        tokenizer: a Hugging Face tokenizer; None without one.
        template_kwargs: the config's `chat_template_kwargs`.
    """

    options: DatasetOptions = field(default_factory=DatasetOptions)
    name: str | None = None
    tokenizer: Any = field(default=None, repr=False)
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """The most tokens a prompt may take (`cft.prompt_budget`)."""
        return self.options.prompt_budget

    @functools.cached_property
    def measure(self) -> str:
        """32 hex digits of what decides whether a prompt fits: by content, wherever it lies."""
        options, tokenizer = self.options, self.tokenizer
        content: list[Any] = [options.format, options.separator, options.prompt_budget]
        content += ["inside"] if options.every else []
        if tokenizer is not None:
            backend = getattr(tokenizer, "backend_tokenizer", None)
            content += [backend.to_str() if backend else self.name, list(self.special)]
            content += [tokenizer.chat_template, dict(self.template_kwargs)]
        return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()

    @functools.cached_property
    def special(self) -> Sequence[str]:
        """The tokenizer's special tokens as text, which it would read as their ids."""
        from axolotl_cft.core.documents import special_ids

        if self.tokenizer is None:
            return ()
        marks = map(self.tokenizer.convert_ids_to_tokens, sorted(special_ids(self.tokenizer)))
        return [mark for mark in marks if mark]

    def of_prompt(self, prompt: str) -> int:
        """Tokens before the text in a row of training: BOS, prompt and separator, or the chat turn.

        Args:
            prompt: not blank.

        Raises:
            CFTError: the tokenizer has no EOS, or no chat template where one is needed.
        """
        if self.tokenizer is None:
            separator = self.options.separator
            before = separator if self.options.every else ""
            return 1 + self.of_text(before + prompt + separator)
        return self._contexts.length(prompt)

    @functools.cached_property
    def _contexts(self) -> "ContextEncoder":
        """Training's own: what it puts before a text is what counts."""
        from axolotl_cft.core.contexts import ContextEncoder, Template, frame_of

        options = self.options
        # Uncut lengths are asked for, so that the row may be as long as it likes.
        length = 2 * options.prompt_budget + 2
        frame = frame_of(self.tokenizer, options.prompt_budget, length, options.every)
        template = Template(kwargs=self.template_kwargs)
        contexts = ContextEncoder(
            self.tokenizer, frame, options.format, options.separator, template
        )
        contexts.check({})
        return contexts

    def of_text(self, text: str) -> int:
        """Tokens of a text by itself."""
        if self.tokenizer is None:
            ascii_characters = len(text.encode("ascii", "ignore"))
            others = len(text.encode("utf-8", "replace")) - ascii_characters
            return math.ceil(ascii_characters / 3) + others
        ids = self.tokenizer(well_formed(text), add_special_tokens=False, verbose=False)
        return len(ids["input_ids"])

    def prefix(self, text: str, limit: int) -> int:
        """Number of characters at the start of `text` that take at most about `limit` tokens."""
        if len(text) <= limit:  # a token has at least a character, or is one byte of one
            return len(text)
        if self.tokenizer is not None and self.tokenizer.is_fast:
            return self._prefix(text, limit)
        tokens = self.of_text(text)
        return len(text) if tokens <= limit else len(text) * limit // tokens

    def _prefix(self, text: str, limit: int) -> int:
        """`prefix` by offsets; of a long text no more is tokenized than it takes."""
        reach = _REACH * limit
        while True:
            offsets = self.tokenizer(
                well_formed(text[:reach]),
                add_special_tokens=False,
                return_offsets_mapping=True,
                verbose=False,
            )["offset_mapping"]
            if len(offsets) > limit:
                return int(offsets[limit][0])
            if reach >= len(text):
                return len(text)
            reach *= 2


def read_tokens(
    config: Path | None,
    tokenizer: str | None,
    prompt_budget: int | None = None,
    format_: Literal["plain", "chat"] | None = None,
) -> Tokens:
    """Take tokenizer, budget and format from an Axolotl config; the other arguments override it.

    Args:
        config: an Axolotl YAML (`base_model`, `tokenizer_config`, `cft`, …), or None.
        tokenizer: a Hugging Face name or folder, or None.
        prompt_budget: `cft.prompt_budget`, or None.
        format_: `cft.format`, or None.

    Raises:
        CFTError: the config or the tokenizer cannot be read, the config names no model, or
            training would refuse the tokenizer.
    """
    raw = {} if config is None else read_yaml(config)
    block = parse_options(raw) if config else DatasetOptions()
    options = DatasetOptions(
        format=format_ or block.format,
        separator=block.separator,
        prompt_budget=prompt_budget or block.prompt_budget,
        every=block.every,
    )
    name = tokenizer or tokenizer_name(raw)
    if config and not name:
        raise CFTError(f"{config}: names no base_model; add one, or name a tokenizer")
    if not name:
        return Tokens(options)
    tokens = tokens_of(raw, name, options)
    tokens.of_prompt("a")  # a bad tokenizer is reported before anything is asked
    return tokens


def _other_tokenizer(config: Mapping[str, Any]) -> str | None:
    """An option by which the host loads a tokenizer that `load_tokenizer` does not."""
    if read_flag(config, "tokenizer_use_mistral_common"):
        return "tokenizer_use_mistral_common"
    others = ("tokenizer_type", "added_tokens_overrides")
    return next((name for name in others if config.get(name)), None)


def chunk_finder(config: Path, tokens: Tokens, part: "Part" = "train") -> "ChunkFinder":
    """What finds the chunks that a training with this config makes of a text.

    Args:
        config: an Axolotl YAML.
        tokens: from `read_tokens`, with the tokenizer and the budget.
        part: `datasets`, or `test_datasets`, whose rows may have a length of their own.

    Raises:
        CFTError: the length of a row is not in the config, leaves no room for text, the
            tokenizer is one that cannot be loaded or asked here, or training with this config would
            take another tokenizer or budget.
    """
    from axolotl_cft.core.contexts import frame_of
    from axolotl_cft.core.cuts import ChunkFinder

    raw = read_yaml(config)
    if other := _other_tokenizer(raw):
        raise CFTError(
            f"{config}: {other} makes a tokenizer that is not loaded here, so that a chunk's text "
            "is not known; write prompts per document"
        )
    if tokens.name != tokenizer_name(raw):
        raise CFTError(
            "--tokenizer would cut other chunks than the training with this config: leave it out, "
            "or set tokenizer_config in the config; per document it may differ"
        )
    if tokens.budget not in (known := _given(raw, "prompt_budget")):
        raise CFTError(
            f"--prompt-budget {tokens.budget} would cut other chunks than the training with this "
            f"config, whose prompt_budget is {' or '.join(map(str, known))}: leave it out, or set "
            "it in the config; per document it may differ"
        )
    length = (raw.get("eval_sequence_len") if part == "test" else None) or raw.get("sequence_len")
    if not isinstance(length, int):
        raise CFTError(f"{config}: sequence_len decides the chunks; set it to a number of tokens")
    if len(everys := _given(raw, "every")) > 1:
        raise CFTError(
            f"{config}: cft.every differs between the datasets, so that it is not known which "
            "places to write prompts for; give each a config of its own"
        )
    every = everys[0]
    frame = frame_of(tokens.tokenizer, tokens.budget, length, every)
    return ChunkFinder(tokens.tokenizer, frame.capacity, every)


def _given(config: Mapping[str, Any], option: str) -> list[Any]:
    """What an option is in the `cft:` block of a config, and in those of its datasets."""
    own = (dataset.get("cft") for _, _, dataset in cft_datasets(config))
    overrides = [block for block in own if isinstance(block, Mapping) and option in block]
    given = [block[option] for block in overrides if isinstance(block[option], int | None)]
    return [*dict.fromkeys([getattr(parse_options(config), option), *given])]


def tokenizer_name(config: Mapping[str, Any]) -> str | None:
    """The tokenizer of an Axolotl config, if it names one."""
    name = config.get("tokenizer_config") or config.get("base_model")
    return str(name) if name else None


def tokens_of(
    config: Mapping[str, Any], name: str, options: DatasetOptions | None = None
) -> Tokens:
    """Token counts with the tokenizer `name`, and with what an Axolotl config adds to it.

    Raises:
        CFTError: it cannot be loaded, does not take what the config adds, or a field that is true
            or false is neither.
    """
    # As axolotl/loaders/tokenizer.py::load_tokenizer hands them on.
    how = {
        "use_fast": read_flag(config, "tokenizer_use_fast"),
        "legacy": read_flag(config, "tokenizer_legacy"),
        "revision": config.get("revision_of_model"),
    }
    given = {key: value for key, value in how.items() if value is not None}
    loaded = load_tokenizer(name, bool(read_flag(config, "trust_remote_code")), **given)
    _adapt(loaded, config)
    kwargs = dict(config.get("chat_template_kwargs") or {})
    return Tokens(options or DatasetOptions(), name, loaded, kwargs)


def load_tokenizer(name: str, trust_remote_code: bool = False, **how: Any) -> Any:
    """The tokenizer of a model.

    Args:
        name: a hub name or a folder.
        trust_remote_code: run the code that the repository brings, as the config of that name.
        how: more arguments for `AutoTokenizer.from_pretrained`.

    Raises:
        CFTError: it cannot be loaded.
    """
    from transformers import AutoTokenizer

    refuse_absent(name, "tokenizer")
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code, **how)
    except Exception as exc:  # transformers, tokenizers and the hub share no base class
        raise CFTError(f"the tokenizer of {name} cannot be loaded: {first_line(exc)}") from exc


def well_formed(text: str) -> str:
    """The text with `?` for each lone surrogate, which neither tokenizers nor UTF-8 take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def first_line(exc: Exception) -> str:
    """What a library's error says, without the paragraphs that follow."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]


def _adapt(tokenizer: Any, raw: Mapping[str, Any]) -> None:
    """Give a tokenizer the tokens and the chat template that a config sets.

    As axolotl/loaders/tokenizer.py::load_tokenizer does. That function needs a model's config
    beside the tokenizer, patches transformers, and takes 16.6 s of CPU time to import where
    `AutoTokenizer` takes 10.7 s (medians of three, axolotl 0.19), which `prompts check` and
    `generate` would wait for.
    """
    from transformers import AddedToken

    def bare(token: str) -> Any:
        return AddedToken(token, lstrip=False, rstrip=False, normalized=False)

    try:
        special = dict(raw.get("special_tokens") or {})
        more = special.pop("additional_special_tokens", None)
        if special:
            tokenizer.add_special_tokens({name: bare(token) for name, token in special.items()})
        if added := raw.get("tokens"):
            tokenizer.add_tokens([bare(token) for token in added])
        if more:
            tokenizer.add_special_tokens({"additional_special_tokens": more})
        if choice := raw.get("chat_template"):
            from axolotl.utils.chat_templates import get_chat_template

            jinja = raw.get("chat_template_jinja")
            tokenizer.chat_template = get_chat_template(choice, jinja, tokenizer)
    except (AssertionError, TypeError, ValueError) as exc:
        raise CFTError(
            "the config's special_tokens, tokens or chat_template cannot be used with "
            f"{tokenizer.name_or_path}: {first_line(exc)}"
        ) from exc
