"""How dense a text is, by how well it compresses."""

import zlib

MEASURED_BYTES = 4096
"""Of a text's beginning: zlib finds more to repeat in a longer one."""

FEWEST_BYTES = 512
"""In a shorter text nearly nothing repeats, whatever it says."""

QUANTILES = (5, 25, 50, 75, 95)
"""In percent."""


def density(text: str) -> float | None:
    """What zlib leaves of a text's beginning, as a share of its bytes in UTF-8.

    Near 0 for one phrase over and over, about 0.5 for English prose, more for tables of numbers;
    comparable within a language and a script only.

    Returns:
        The share; None where the text has fewer than `FEWEST_BYTES`.
    """
    sample = text[:MEASURED_BYTES].encode("utf-8", "replace")[:MEASURED_BYTES]
    return len(zlib.compress(sample)) / len(sample) if len(sample) >= FEWEST_BYTES else None
