"""The tokens of many texts by a tokenizer's name, in any process."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axolotl_cft.host.tokens import load_tokenizer, well_formed

if TYPE_CHECKING:
    from axolotl_cft.core.encoding import Ids


@dataclass(frozen=True)
class NamedTokenizer:
    """Counts the tokens of texts as training does, without BOS and EOS.

    Only the name travels to another process, which loads the tokenizer once.

    Attributes:
        name: a hub name or a folder.
    """

    name: str

    @property
    def digest(self) -> str:
        """32 hex digits of what decides the tokens: by content, wherever it lies.

        Raises:
            CFTError: it cannot be loaded.
        """
        return _loaded(self.name)[1]

    def __call__(self, texts: list[str]) -> list[int]:
        """The tokens of each text.

        Raises:
            CFTError: it cannot be loaded.
        """
        encode, _ = _loaded(self.name)
        return [len(ids) for ids in encode(list(map(well_formed, texts)))]


@functools.cache
def _loaded(name: str) -> "tuple[Callable[[list[Any]], list[Ids]], str]":
    """What tokenizes, and its digest."""
    from axolotl_cft.core.tokenizing import TextEncoder

    tokenizer = load_tokenizer(name)
    encode = TextEncoder(tokenizer)  # switches truncation off, before its state is looked at
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = backend.to_str() if backend else name
    return encode, hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
