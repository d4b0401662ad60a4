"""Names of files and folders of this machine, which nobody should look for on a hub."""

import glob
import re
from pathlib import Path

from axolotl_cft.errors import CFTError

_SUFFIX = re.compile(r"\.(arrow|csv|jsonl?|ndjson|parquet|tsv|txt)(\.(gz|zst|bz2|xz))?$")


def names_local(name: str) -> bool:
    """Whether a name can only be one of this machine's: a hub's is `org/name`, or `name`."""
    if "://" in name:
        return False
    begins_or_ends = name.startswith((".", "/", "~")) or name.endswith("/")
    return begins_or_ends or name.count("/") > 1 or bool(_SUFFIX.search(name))


def said_absent(name: str) -> str | None:
    """A sentence if a name means a file or folder of this machine that is not there.

    It surely does if it begins with `.`, `/` or `~`, ends with `/` or like a data file, or has two
    slashes; and most likely if the folder that it names first is here, so that the sentence leaves
    both open. None if it is there, is a pattern, or may be on a hub.
    """
    path = Path(name).expanduser()
    if "://" in name or glob.has_magic(name) or path.exists():
        return None
    if names_local(name):
        return f"there is no {name} here; {_mend(path)}"
    if "/" in name and path.parent.is_dir():
        return f"there is no {name} here ({path.parent} is), nor could it be had from the hub"
    return None


def refuse_absent(name: str, what: str) -> None:
    """Refuse a name that only this machine could have and has not, before a hub is asked for it.

    Args:
        name: of a file, a folder, or something on a hub.
        what: where the name stands, for the message.

    Raises:
        CFTError: it is not there.
    """
    if names_local(name) and (said := said_absent(name)):
        raise CFTError(f"{what}: {said}")


def _mend(path: Path) -> str:
    if "cft-demo" in path.parts:
        return "run `axolotl-cft demo --prepare-only`, which makes it"
    return "correct the path, or bring it"
