"""Text files, each of them one document."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from axolotl_cft.corpus.parts import Block, Kept, Write
from axolotl_cft.errors import CFTError
from axolotl_cft.files import open_whole


class TextFile:
    """A `.txt` file; what is left of one in several pieces are several files."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.size: int | None = path.stat().st_size

    def blocks(self) -> Iterator[Block]:
        """The one document."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise CFTError(f"cannot read {self.path}: {exc}") from exc
        yield Block([self.name], [text], None, self.size or 0, lambda: [{"text": text}])

    @contextlib.contextmanager
    def write(self, file: Path) -> Iterator[Write]:
        """A function that writes the document to `file`, or what is left of it beside that."""

        def write(block: Block, kept: Sequence[Kept]) -> None:
            if kept[0] is None:
                with self.path.open("rb") as source, open_whole(file, synced=False) as target:
                    shutil.copyfileobj(source, target)
                return
            for number, text in enumerate(kept[0], 1):
                name = file if len(kept[0]) == 1 else self._numbered(file, number)
                with open_whole(name, synced=False) as target:
                    target.write(text.encode("utf-8"))

        yield write

    def _numbered(self, file: Path, number: int) -> Path:
        """A name for one of several texts that the corpus has not got."""
        name = f"{file.stem}.part{number}.txt"
        while self.path.with_name(name).exists():
            name = f"{name.removesuffix('.txt')}_.txt"
        return file.with_name(name)
