"""What the turns of a config's conversations are called, for commands that read them themselves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axolotl_cft.core.conversation_text import TurnKeys
from axolotl_cft.files import read_yaml
from axolotl_cft.host.plan import cft_datasets, is_chat_type


def turn_keys(config: Path, corpus: str, column: str) -> TurnKeys | None:
    """The keys of the turns that a `type: cft.chat` dataset of a config reads from a column.

    Args:
        config: an Axolotl YAML.
        corpus: the path or name of the data; where several datasets have such a column, the one
            with this path counts.
        column: of the messages.

    Returns:
        None if there is no such dataset, or several, which differ, and none has the path.

    Raises:
        CFTError: the config cannot be read.
    """
    chats = [
        dataset for _, _, dataset in cft_datasets(read_yaml(config)) if _reads(dataset, column)
    ]
    here = [dataset for dataset in chats if _is_at(dataset.get("path"), corpus)]
    found = {_keys(dataset) for dataset in here or chats}
    return found.pop() if len(found) == 1 else None


def _reads(dataset: Mapping[str, Any], column: str) -> bool:
    messages = dataset.get("field_messages") or "messages"
    return is_chat_type(dataset.get("type")) and messages == column


def _is_at(path: Any, corpus: str) -> bool:
    return Path(str(path)).expanduser().resolve() == Path(corpus).expanduser().resolve()


def _keys(dataset: Mapping[str, Any]) -> TurnKeys:
    """As the host reads them (axolotl/utils/schemas/utils.py)."""
    given = dataset.get("message_property_mappings")
    mapping = given if isinstance(given, Mapping) else {}
    role = mapping.get("role") or dataset.get("message_field_role") or "role"
    content = mapping.get("content") or dataset.get("message_field_content") or "content"
    return TurnKeys(str(role), str(content))
