"""Options and progress that `generate` and `educate` share."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.run import Endpoint, PromptOptions

if TYPE_CHECKING:
    from axolotl_cft.generation.workers import Meter

Command = Callable[..., None]


class JsonObject(click.ParamType):
    """A JSON object on the command line."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        """Parse the text, or say what it should be."""
        if isinstance(value, dict):
            return value
        try:
            parsed = json.loads(value)
        except ValueError as exc:
            self.fail(f"not JSON ({exc})", param, ctx)
        if not isinstance(parsed, dict):
            self.fail("not a JSON object, such as '{\"temperature\": 0}'", param, ctx)
        return parsed


ENDPOINT_OPTIONS = (
    click.option("--model", envvar="OPENAI_MODEL", help="The model's name at the endpoint."),
    click.option(
        "--base-url",
        envvar="OPENAI_BASE_URL",
        help="An OpenAI-compatible endpoint, such as http://localhost:8000/v1; default: OpenAI's.",
    ),
    click.option(
        "--concurrency",
        default=Endpoint.concurrency,
        show_default=True,
        type=click.IntRange(1, 1000),  # as many connections as the client keeps
        help="Requests in flight at once.",
    ),
    click.option(
        "--attempts",
        default=Endpoint.attempts,
        show_default=True,
        type=click.IntRange(1),
        help="How often one answer is asked for before it is rejected.",
    ),
    click.option(
        "--max-retries",
        default=Endpoint.max_retries,
        show_default=True,
        type=click.IntRange(0),
        help="How often one request is sent again after 429, 5xx, a timeout or a broken "
        "connection.",
    ),
    click.option(
        "--timeout",
        default=Endpoint.timeout,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        help="Seconds to wait for one answer.",
    ),
    click.option(
        "--max-output-tokens",
        default=Endpoint.max_output_tokens,
        show_default=True,
        type=click.IntRange(1),
        help="Bound on one answer, the model's reasoning included.",
    ),
    click.option(
        "--request",
        type=JsonObject(),
        default="{}",
        help="Further fields for every request, such as '{\"temperature\": 0}'.",
    ),
)


PROMPT_OPTIONS = (
    click.option(
        "--instruction",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File with your own instruction; {text} in it stands for the text, which otherwise "
        "comes after the instruction. Default: the paper's (TextAdaptCFT).",
    ),
    click.option(
        "--style",
        default=PromptOptions.style,
        show_default=True,
        type=click.Choice(["text", "strategies"]),
        help="text: guided by the text alone. strategies: each text is also given one of the "
        "paper's "
        "learning strategies, drawn by seed and text.",
    ),
    click.option(
        "--seed", default=PromptOptions.seed, show_default=True, help="Seed of these draws."
    ),
    click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Axolotl YAML whose cft.prompt_budget and tokenizer the prompts must fit.",
    ),
    click.option("--tokenizer", help="Tokenizer to count with (name or folder)."),
    click.option(
        "--prompt-budget",
        type=click.IntRange(1),
        help="How many tokens a prompt may take, BOS and separator included. Default: the "
        "config's, else 128.",
    ),
    click.option(
        "--max-input-tokens",
        default=PromptOptions.max_input_tokens,
        show_default=True,
        type=click.IntRange(1),
        help="A longer text is cut at the end of a sentence, but only for the request.",
    ),
)


def bundled(
    name: str, bundle: type, options: tuple[Callable[[Command], Command], ...]
) -> Callable[[Command], Command]:
    """Decorator: give a command these options, and hand them over as one `bundle` named `name`."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def bundling(**kwargs: Any) -> None:
            fields = {field.name: kwargs.pop(field.name) for field in dataclasses.fields(bundle)}
            command(**kwargs, **{name: bundle(**fields)})

        decorated: Command = bundling
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


CLOSING_OPTIONS = (
    click.option(
        "--format",
        "format_",
        type=click.Choice(["jsonl", "parquet"]),
        help="Format of the rows written. Default: jsonl for JSON lines, otherwise parquet.",
    ),
    click.option(
        "--fallback",
        type=click.Choice(["paper"]),
        help="Give texts without a usable prompt one from this pool.",
    ),
    click.option("--drop-rejects", is_flag=True, help="Leave out rows without a usable answer."),
    click.option(
        "--retry-rejects",
        is_flag=True,
        help="Ask again for answers that an earlier run gave up on.",
    ),
)


@contextlib.contextmanager
def show_answers(label: str, total: int | None, done: int) -> Iterator[Callable[["Meter"], None]]:
    """The progress of a run: answers, with their tokens and faults."""
    with progress(label, total, "" if total is None else "answers", done=done) as work:

        def show(meter: "Meter") -> None:
            errors = meter.retries + meter.asked_again
            note = f"{meter.tokens:,} tokens, {errors} errors, {meter.rejected} rejected"
            work.update(done=done + meter.settled, note=note)

        yield show


def check_model(endpoint: Endpoint) -> None:
    """Refuse to ask nobody, before a corpus is read."""
    if not endpoint.model:
        raise click.UsageError("name the model with --model, or set OPENAI_MODEL")


@contextlib.contextmanager
def naming_what_becomes_of_rejects() -> Iterator[None]:
    """Add to a run's refusal to write what the user can do about it."""
    from axolotl_cft.generation.finish import RejectsError
    from axolotl_cft.generation.verdicts import CUT_OFF, ENDED_THINKING

    try:
        yield
    except RejectsError as exc:
        too_short = exc.reasons & {CUT_OFF, ENDED_THINKING}
        again = " (with a higher --max-output-tokens, which cut some off)" if too_short else ""
        raise CFTError(
            f"{exc}: --fallback paper gives them a prompt of the paper's pool where only a prompt "
            f"is missing, --retry-rejects asks again{again}, --drop-rejects leaves them out"
        ) from exc


def print_estimate(counts: Mapping[str, int], tokenizer: str | None) -> None:
    """Print what a run would ask, as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What this would ask", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, count in counts.items():
        table.add_row(label, f"{count:,}")
    console = Console()
    console.print(table)
    counted = f"Counted with {tokenizer}." if tokenizer else "Four characters count as one token."
    console.print(
        f"{counted} Repeated requests and a model's reasoning come on top.", soft_wrap=True
    )
