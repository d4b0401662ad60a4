"""Writing that puts no spaces between words: what is counted in words elsewhere is not here."""

import re

_RANGES = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese, Shan
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u3005-\u3007\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\uff66-\uff9d"  # kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese signs
    "\ua000-\ua4cf"  # Yi
)
SIGN = re.compile(f"[{_RANGES}]")
_RUN = re.compile(f"[{_RANGES}]+")
_FIRST_BYTES_OF_OTHERS = bytes({*range(0xE0), 0xE2})  # of signs below U+0800, and U+2000 to U+2FFF
_SPACE = re.compile(r"\s+")


def unspaced_share(text: str) -> float:
    """The share of such signs in all that is not white space, 0 to 1.

    Korean, and Chinese names in English prose, are written with spaces: the share is 0, or low.
    """
    # Most texts have none, as the first bytes of their characters tell in no time.
    if not text.encode("utf-8", "surrogatepass").translate(None, _FIRST_BYTES_OF_OTHERS):
        return 0.0
    signs = sum(map(len, _RUN.findall(text)))
    return signs / (len(text) - sum(map(len, _SPACE.findall(text)))) if signs else 0.0
