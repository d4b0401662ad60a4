"""Yes or no in a config that the host has not validated yet, read as the host will read it.

In quotes, `"false"`, `"no"` and `"off"` are texts to YAML. The host's schema takes them for what
they say (pydantic; axolotl/utils/schemas), where Python's `bool` takes every text for true.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from axolotl_cft.errors import CFTError

_FLAG: TypeAdapter[bool | None] = TypeAdapter(bool | None)


def read_flag(config: Mapping[str, Any], name: str) -> bool | None:
    """A field of the host's that is true, false, or not set (None).

    Raises:
        CFTError: it is something else, which the host would refuse too.
    """
    value = config.get(name)
    try:
        return _FLAG.validate_python(value)
    except ValidationError as exc:
        raise CFTError(f"{name}: expected true or false, got {value!r}") from exc
