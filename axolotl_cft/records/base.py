"""One file, one record: how each kind is read, checked and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_json, write_atomic

_Some = TypeVar("_Some", bound="Record")


class RecordPart(BaseModel):
    """A piece of a record."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Record(RecordPart):
    """What all records share: reading, writing, and the sentences about files that are unfit.

    Attributes:
        kind: what a file of this kind is, for messages.
        advice: what to do about a damaged one.
        schema_number: of the files written here, and the highest that is understood.
        schema_key: where it stands in the file.
        numbered: whether it is written; kinds that began without it need none until schema 2.
        layout: how `json.dumps` sets the text.
    """

    kind: ClassVar[str]
    advice: ClassVar[str]
    schema_number: ClassVar[int] = 1
    schema_key: ClassVar[str] = "schema"
    numbered: ClassVar[bool] = True
    layout: ClassVar[dict[str, Any]] = {"indent": 2}

    _older: int | None = PrivateAttr(None)  # the number of a file that was read, if it was lower

    @classmethod
    def read(cls: type[_Some], path: Path) -> _Some:
        """The record in a file.

        Raises:
            CFTError: it cannot be read, is cut short, lacks a field or holds a wrong one (named),
                or has a newer schema.
        """
        return cls.parse(read_json(path, cls.advice), str(path))

    @classmethod
    def parse(cls: type[_Some], content: Mapping[str, Any], where: str) -> _Some:
        """The record in a JSON object that stands at `where`.

        Raises:
            CFTError: a field is missing or wrong (named), or the schema is newer.
        """
        number = content.get(cls.schema_key, 1)
        if isinstance(number, int) and number > cls.schema_number:
            raise CFTError(
                f"{where} has {cls.schema_key} {number}, and this version knows no more than "
                f"{cls.schema_number}; upgrade axolotl-cft"
            )
        unfit = f"{where} is not {cls.kind}"
        if type(number) is not int or number < 1:
            raise CFTError(f"{unfit}: {cls.schema_key} is {number!r} and no number; {cls.advice}")
        try:
            record = cls.model_validate({k: v for k, v in content.items() if k != cls.schema_key})
        except ValidationError as exc:
            raise CFTError(f"{unfit}: {_explain(exc)}; {cls.advice}") from exc
        if number < cls.schema_number:
            record._older = number
        return record

    def content(self) -> dict[str, Any]:
        """The record as plain data for JSON."""
        number = self._older or self.schema_number
        head = {self.schema_key: number} if self.numbered else {}
        return head | self.model_dump(exclude_unset=True)

    def text(self) -> str:
        """The record as a file holds it."""
        return json.dumps(self.content(), **self.layout) + "\n"

    def write(self, path: Path) -> None:
        """Replace a file by this record; it is whole or as it was.

        Raises:
            CFTError: it cannot be written.
        """
        write_atomic(path, self.text())


def _explain(exc: ValidationError) -> str:
    """The first of pydantic's complaints, with the field."""
    error = exc.errors()[0]
    field = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{field} is missing"
    found = repr(error["input"])
    shown = found if len(found) <= 60 else f"{found[:57]}…"
    return f"{field}: {error['msg'][:1].lower()}{error['msg'][1:]}, got {shown}"
