"""One run: whom to ask, under which identity, and what is still to be asked."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axolotl_cft.errors import CFTError

if TYPE_CHECKING:
    from axolotl_cft.generation.client import Client
    from axolotl_cft.generation.journal import Journal
    from axolotl_cft.generation.prompting import PromptPlan
    from axolotl_cft.generation.workers import Job, Meter


Progress = Callable[[str, int, int], AbstractContextManager[Callable[["Meter"], None]]]


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Whom to ask, and how hard."""

    model: str | None
    base_url: str | None
    concurrency: int
    attempts: int
    max_retries: int
    timeout: float
    max_output_tokens: int
    request: dict[str, Any]

    def client(self) -> "Client":
        """A client for one event loop."""
        from axolotl_cft.generation.client import Client

        return Client(
            self.named_model(),
            self.base_url,
            timeout=self.timeout,
            max_retries=self.max_retries,
            max_output_tokens=self.max_output_tokens,
            request=self.request,
        )

    def named_model(self) -> str:
        """The model, which only `--estimate` can do without."""
        if not self.model:
            raise CFTError("name the model with --model, or set OPENAI_MODEL")
        return self.model


def read_instruction(path: Path | None, default: str) -> str:
    """The text of an instruction file, or the default.

    Raises:
        CFTError: the file cannot be read or is empty.
    """
    if path is None:
        return default
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise CFTError(f"the instruction {path} cannot be read: {exc}") from exc
    if not text:
        raise CFTError(f"the instruction {path} is empty: write into it what the model shall do")
    return text


def identity_of(
    command: str, keys: Sequence[str | None], endpoint: Endpoint, plan: "PromptPlan"
) -> dict[str, Any]:
    """What decides a run's answers: a half-done run goes on only under the same.

    The endpoint's address, and how hard it is asked, do not enter.
    """
    digest = hashlib.sha256("\n".join(key or "" for key in keys).encode()).hexdigest()
    return {
        "command": command,
        "input": f"{len(keys)} rows, digest {digest[:16]}",
        "model": endpoint.named_model(),
        "request": endpoint.request,
        **plan.identity(),
    }


def settle(
    label: str,
    keys: Iterable[str | None],
    makers: Iterable[tuple[str | None, Callable[[], "Job"]]],
    journal: "Journal",
    endpoint: Endpoint,
    retry_rejects: bool,
    progress: Progress,
) -> None:
    """Ask, under a progress bar, what the journal does not hold yet; equal keys are asked once.

    Args:
        label: of the progress bar.
        keys: all that are wanted; None is nothing.
        makers: key and how to make its job, in the order to ask; read as requests become free.
        journal: where the answers are and go.
        endpoint: whom to ask.
        retry_rejects: whether an answer given up earlier counts as none.
        progress: shows what is settled, of how many in all, given a label, the total and what is
            done already.
    """
    wanted = {key for key in keys if key is not None}
    done = {
        key
        for key in wanted & journal.entries.keys()
        if not (retry_rejects and "reject" in journal.entries[key])
    }
    left = wanted - done
    if not left:
        return

    def jobs() -> Iterator["Job"]:
        for key, make in makers:
            if key in left:
                left.remove(key)
                yield make()

    from axolotl_cft.generation.workers import ask_all

    with progress(label, len(wanted), len(done)) as show:
        try:
            ask_all(
                jobs(),
                journal,
                endpoint.client,
                concurrency=endpoint.concurrency,
                attempts=endpoint.attempts,
                show=show,
            )
        except KeyboardInterrupt:
            raise CFTError(
                f"stopped; {len(journal.entries)} answers are kept, and the same command goes on "
                "from there"
            ) from None
