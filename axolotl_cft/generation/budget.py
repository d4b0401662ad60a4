"""How many tokens a prompt or a text takes: exact with the trained model's tokenizer, else a bound.

Without a tokenizer, three ASCII characters or one byte of any other character count as one token.
English prose has four to five characters a token, so this errs on the safe side there; training
checks the exact count again.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axolotl_cft.errors import CFTError

DEFAULT_BUDGET = 128
DEFAULT_SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Tokens:
    """Token counts of prompts and texts.

    Attributes:
        budget: the most tokens a prompt may take (`cft.prompt_budget`).
        separator: between prompt and text (`cft.separator`).
        chat: whether the prompt is the user turn of a chat template (`cft.format: chat`).
        name: the tokenizer's name or path; None without one.
        tokenizer: a Hugging Face tokenizer; None without one.
    """

    budget: int = DEFAULT_BUDGET
    separator: str = DEFAULT_SEPARATOR
    chat: bool = False
    name: str | None = None
    tokenizer: Any = field(default=None, repr=False)

    def of_prompt(self, prompt: str) -> int:
        """Tokens before the text in training: BOS, prompt and separator, or the chat scaffold.

        As `encoder.DocumentEncoder` encodes them; an EOS that a tokenizer adds by itself counts.
        """
        if self.tokenizer is None:
            return 1 + self.of_text(prompt + self.separator)
        if self.chat:
            from axolotl_cft.encoder import PINNED_DATE

            rendered = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                tokenize=False,
                add_generation_prompt=True,
                date_string=PINNED_DATE.strftime("%d %b %Y"),
                strftime_now=PINNED_DATE.strftime,
            )
            return self.of_text(rendered)
        return len(self.tokenizer(prompt + self.separator)["input_ids"])

    def of_text(self, text: str) -> int:
        """Tokens of a text by itself."""
        if self.tokenizer is None:
            ascii_characters = len(text.encode("ascii", "ignore"))
            others = len(text.encode("utf-8", "replace")) - ascii_characters
            return math.ceil(ascii_characters / 3) + others
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def prefix(self, text: str, limit: int) -> int:
        """Number of characters at the start of `text` that take at most about `limit` tokens."""
        if len(text) <= limit:  # a token has at least a character, or is one byte of one
            return len(text)
        if self.tokenizer is not None and self.tokenizer.is_fast:
            offsets = self.tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
            return len(text) if len(offsets) <= limit else offsets[limit][0]
        tokens = self.of_text(text)
        return len(text) if tokens <= limit else len(text) * limit // tokens


def read_tokens(config: Path | None, tokenizer: str | None, prompt_budget: int | None) -> Tokens:
    """Take budget and tokenizer from an Axolotl config; the two options stand over it.

    Args:
        config: an Axolotl YAML (`base_model`, `tokenizer_config`, `cft`), or None.
        tokenizer: a Hugging Face name or folder, or None.
        prompt_budget: `cft.prompt_budget`, or None.

    Raises:
        CFTError: the config or the tokenizer cannot be read, or the config names no model.
    """
    budget, separator, chat, trust = DEFAULT_BUDGET, DEFAULT_SEPARATOR, False, False
    if config is not None:
        raw = _read_yaml(config)
        from axolotl_cft.config import parse_options

        options = parse_options(raw)
        budget, separator = options.prompt_budget, options.separator
        chat, trust = options.format == "chat", bool(raw.get("trust_remote_code"))
        tokenizer = tokenizer or raw.get("tokenizer_config") or raw.get("base_model")
        if not tokenizer:
            raise CFTError(f"{config}: names no base_model; add one, or give --tokenizer")
    loaded = _load_tokenizer(str(tokenizer), trust) if tokenizer else None
    name = str(tokenizer) if tokenizer else None
    if chat and loaded is not None and not loaded.chat_template:
        raise CFTError(f"{config}: cft.format: chat needs a chat template, and {name} has none")
    return Tokens(prompt_budget or budget, separator, chat, name, loaded)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        raise CFTError(f"{path} cannot be read as an Axolotl config: {exc}") from exc
    if not isinstance(raw, dict):
        raise CFTError(f"{path} is not an Axolotl config: it holds no mapping")
    return raw


def _load_tokenizer(name: str, trust_remote_code: bool) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, ImportError) as exc:
        reason = str(exc).strip().splitlines()[0]
        raise CFTError(
            f"the tokenizer {name} cannot be loaded ({reason}): give a folder or a name with "
            "--tokenizer"
        ) from exc
