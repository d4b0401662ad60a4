"""Words of a domain: those that a tokenizer trained on the corpus has, and a general one lacks."""

import heapq
from collections.abc import Iterable, Set

from axolotl_cft.core.sampling import text_key, uniform
from axolotl_cft.corpus.comprehension.blocks import encodable
from axolotl_cft.corpus.comprehension.mining import LONG_WORD

_VOCABULARY = 32_000
_SAMPLE = 64_000_000
"""Characters that the tokenizer is trained on: more would hardly change its vocabulary."""

_STARTS = "▁Ġ"
"""Signs of SentencePiece and of byte-level BPE for the beginning of a word."""

_ENDINGS = ("", "s", "es", "d", "ed", "ing", "ly", "al", "ally")


def find_keywords(texts: Iterable[str], general: Iterable[str]) -> frozenset[str]:
    """The words of a domain, in lower case.

    Args:
        texts: the corpus, in any order.
        general: pieces of the base model's tokenizer.

    Returns:
        words of ten letters or more that are one piece of a BPE tokenizer with 32,000 pieces,
        trained on the corpus or on a sample of it, and no piece of the general one. An ending
        makes no other word: where the general one has "receptor", "receptors" is none.
    """
    known = {piece.lstrip(_STARTS).lower() for piece in general}
    return frozenset(
        piece
        for piece in _train(_sample(texts))
        if LONG_WORD.fullmatch(piece)
        and not any(piece.endswith(end) and piece.removesuffix(end) in known for end in _ENDINGS)
    )


def _sample(texts: Iterable[str], characters: int = _SAMPLE) -> list[str]:
    """Texts of so many characters at most, the same ones in whatever order they come."""
    kept: list[tuple[float, str]] = []
    size = 0
    for text in texts:
        heapq.heappush(kept, (-uniform("cft-keywords", text_key(text)), encodable(text)))
        size += len(text)
        while size > characters and len(kept) > 1:
            size -= len(heapq.heappop(kept)[1])
    return [text for _, text in sorted(kept, reverse=True)]


def _train(texts: Iterable[str]) -> Set[str]:
    """The vocabulary of a tokenizer for words in lower case; whatever is no letter counts not."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import BPE
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Split
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Split(Regex(r"\p{L}+"), "removed", invert=True)
    trainer = BpeTrainer(vocab_size=_VOCABULARY, min_frequency=2, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab().keys()
