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
from axolotl_cft.cli.shared_options import ROW_FORMAT
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.run import DOCUMENT_TOKENS, Closing, Endpoint, PromptOptions

if TYPE_CHECKING:
    from axolotl_cft.generation.batch import Batch
    from axolotl_cft.generation.finish import Outcome
    from axolotl_cft.generation.run import Estimate
    from axolotl_cft.generation.workers import Meter
    from axolotl_cft.records import GenerationLedger

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
            parsed = json.loads(value, parse_constant=_refuse_constant)
        except ValueError as exc:
            self.fail(f"not JSON ({exc})", param, ctx)
        if not isinstance(parsed, dict):
            self.fail("not a JSON object, such as '{\"temperature\": 0}'", param, ctx)
        return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


ENDPOINT_OPTIONS = (
    click.option("--model", envvar="OPENAI_MODEL", help="The model's name at the endpoint."),
    click.option(
        "--base-url",
        multiple=True,
        envvar="OPENAI_BASE_URL",
        help="An OpenAI-compatible endpoint, such as http://localhost:8000/v1; default: OpenAI's. "
        "Given several times, the endpoints share the work, and one that dies leaves it to the "
        "others. A user and password or a query in the URL are sent, but shown nowhere.",
    ),
    click.option(
        "--concurrency",
        default=Endpoint.concurrency,
        show_default=True,
        type=click.IntRange(1, 1000),  # as many connections as the client keeps
        help="Requests in flight at once, at all endpoints together.",
    ),
    click.option(
        "--requests-per-minute",
        type=click.FloatRange(0, min_open=True),
        help="The limit of each endpoint, if you know it. One that is not known is found by the "
        "429s that it sends.",
    ),
    click.option(
        "--tokens-per-minute",
        type=click.FloatRange(0, min_open=True),
        help="The same for tokens, in and out together.",
    ),
    click.option(
        "--attempts",
        default=Endpoint.attempts,
        show_default=True,
        type=click.IntRange(1),
        help="How often one answer is asked for before it is rejected.",
    ),
    click.option(
        "--patience",
        default=Endpoint.patience,
        show_default=True,
        type=click.FloatRange(0),
        metavar="MINUTES",
        help="How long to go on sending requests again (after 429, 5xx, a timeout or a broken "
        "connection) while no answer comes at all. 0: stop at the first fault.",
    ),
    click.option(
        "--timeout",
        default=Endpoint.timeout,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="Bound on one whole answer, from the request to the last byte; then it is asked "
        "again. Make it longer than the slowest answer takes.",
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
        help="Further fields for every request, such as '{\"temperature\": 0}'. Keys and passwords "
        "among them are sent, but written nowhere.",
    ),
)


_STYLES = {
    "text": "guided by the text alone",
    "strategies": "each text is also given one of the paper's learning strategies, drawn by seed "
    "and text",
}


def style_option(more: Mapping[str, str] | None = None) -> Callable[[Command], Command]:
    """The option --style, with more styles than those of prompts: name -> what it does."""
    styles = _STYLES | dict(more or {})
    return click.option(
        "--style",
        default=PromptOptions.style,
        show_default=True,
        type=click.Choice(list(styles)),
        help=" ".join(f"{name}: {what}." for name, what in styles.items()),
    )


PROMPT_OPTIONS = (
    click.option(
        "--instruction",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File with your own instruction; {text} in it stands for the text, which otherwise "
        "comes after the instruction. Default: the paper's (TextAdaptCFT).",
    ),
    click.option(
        "--rules",
        default=PromptOptions.rules,
        show_default=True,
        type=click.Choice(["form", "none"]),
        help="What ends a request. form: the form that the checks demand (length, language, plain "
        "text). none: nothing, so that the instruction and the text are all that is sent, as the "
        "paper quotes its request; the checks stay.",
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
        type=click.IntRange(1),
        help="A longer text is cut at the end of a sentence, but only for the request. Default: "
        f"{DOCUMENT_TOKENS} for a document; a chunk is shown whole.",
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


def _refuse_nan(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and value != value:
        raise click.BadParameter("a price is a number", ctx, param)
    return value


CLOSING_OPTIONS = (
    ROW_FORMAT,
    click.option(
        "--fallback",
        metavar="POOL",
        help="Give texts without a usable prompt one from this pool, such as paper (`axolotl-cft "
        "prompts list`), or from a pool's file.",
    ),
    click.option("--drop-rejects", is_flag=True, help="Leave out rows without a usable answer."),
    click.option(
        "--retry-rejects",
        is_flag=True,
        help="Ask again for answers that an earlier run gave up on.",
    ),
    click.option(
        "--price-in",
        type=click.FloatRange(0, 1e9),
        callback=_refuse_nan,
        metavar="MONEY",
        help="Price of a million tokens in, to have the cost said and written to the ledger; with "
        "--price-out.",
    ),
    click.option(
        "--price-out",
        type=click.FloatRange(0, 1e9),
        callback=_refuse_nan,
        metavar="MONEY",
        help="The same for tokens out.",
    ),
)


@contextlib.contextmanager
def show_answers(label: str, total: int | None, done: int) -> Iterator[Callable[["Meter"], None]]:
    """The progress of a run: answers, with their tokens and faults."""
    with progress(label, total, "" if total is None else "answers", done=done) as work:
        told = 0

        def show(meter: "Meter") -> None:
            nonlocal told
            for sentence in meter.lost[told:]:
                work.say(f"warning: {sentence}")
            told = len(meter.lost)
            notes = [
                f"{meter.tokens:,} tokens",
                f"{meter.retries:,} retries",
                f"{meter.asked_again:,} asked again",
                f"{meter.rejected:,} rejected",
                meter.waiting,
            ]
            work.update(done=done + meter.settled, note=", ".join(filter(None, notes)))

        yield show


def check_asking(
    endpoint: Endpoint, closing: Closing, batch: "Batch | None", estimate: bool
) -> None:
    """Refuse to ask nobody, and options that contradict each other, before a corpus is read."""
    if (closing.price_in is None) != (closing.price_out is None):
        raise click.UsageError("--price-in and --price-out go together: a cost needs both")
    if estimate and batch is not None:
        raise click.UsageError("--estimate asks nobody and writes nothing: leave the batch out")
    if not estimate and not endpoint.model:
        raise click.UsageError("name the model with --model, or set OPENAI_MODEL")


MANY_REJECTS = 0.05
"""A larger share of rejected answers, or of rows left out for them, is not left for the reader of
the ledger to find."""


@contextlib.contextmanager
def naming_what_becomes_of_rejects(of_prompts: bool = True) -> Iterator[None]:
    """Add to a run's refusal to write, or to go on, what the user can do about it.

    Where many answers were rejected, say it at the end, in red, whatever was decided about them.

    Args:
        of_prompts: whether a pool's prompt can stand in.
    """
    from axolotl_cft.generation.breaker import HopelessError
    from axolotl_cft.generation.finish import RejectsError

    try:
        yield
    except HopelessError as exc:
        raise CFTError(
            f"{exc}. Mend the cause and add --retry-rejects{_longer(exc.reasons)}; the same "
            "command without it goes on with the texts after them"
        ) from exc
    except RejectsError as exc:
        _say_what_it_took(exc.folder)
        pool = (
            "--fallback paper gives them a prompt of the paper's pool where only a prompt is "
            "missing, "
        )
        raise CFTError(
            f"{exc}: {pool if of_prompts else ''}--retry-rejects asks again"
            f"{_longer(exc.reasons)}, --drop-rejects leaves them out"
        ) from exc


def _longer(reasons: frozenset[str]) -> str:
    from axolotl_cft.generation.verdicts import CUT_OFF, ENDED_THINKING

    too_short = reasons & {CUT_OFF, ENDED_THINKING}
    return " (with a higher --max-output-tokens, which cut some off)" if too_short else ""


def say_outcome(outcome: "Outcome", advice: str = "") -> None:
    """Say what a run wrote, what its answers cost, and if they are worse than they should be."""
    click.echo(outcome.said)
    if outcome.rows is not None:
        if advice:
            click.echo(advice)
        _say_what_it_took(outcome.rows.parent)


def _say_what_it_took(output_dir: Path) -> None:
    """Say what the answers cost, and in red that they are worse than they should be."""
    from axolotl_cft.records import GENERATION_FILE, GenerationLedger

    ledger = GenerationLedger.read(output_dir / GENERATION_FILE)
    if ledger.cost is not None:
        tokens = ledger.answers
        click.echo(
            f"These answers took {tokens.tokens_in:,} tokens in and {tokens.tokens_out:,} out, "
            f"rejected ones included: {_money(ledger.cost)} at these prices."
        )
    _say_many_rejects(output_dir, ledger)


def _money(cost: float) -> str:
    """An amount with its cents, and with what there is of a cent where it is less than one."""
    return f"{cost:,.2f}" if cost >= 1 or cost == 0 else f"{cost:.2g}"


def _say_many_rejects(output_dir: Path, ledger: "GenerationLedger") -> None:
    from axolotl_cft.generation.finish import REJECTS

    rejected, rows = ledger.answers.rejected, ledger.rows_in
    answers = ledger.answers.accepted + rejected
    lost = min(ledger.rows_rejected, ledger.rows_dropped)  # others are dropped for other reasons
    if rejected <= MANY_REJECTS * answers and lost <= MANY_REJECTS * rows:
        return
    with_them = f", and {lost:,} of {rows:,} rows with them ({lost / rows:.1%})" if lost else ""
    click.secho(
        f"{rejected:,} of {answers:,} answers were rejected ({rejected / answers:.1%}){with_them}: "
        f"read the reasons in {output_dir / REJECTS} before you train on the rest",
        fg="red",
        bold=True,
        err=True,
    )


def print_estimate(estimate: "Estimate", closing: Closing, tokenizer: str | None) -> None:
    """Print what a run would ask, as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What this would ask", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, count in estimate.lines.items():
        table.add_row(label, f"{count:,}")
    table.add_row("tokens in", f"{estimate.tokens_in:,}")
    table.add_row("tokens out, if all answers fit, at most", f"{estimate.tokens_out:,}")
    cost = closing.cost(estimate.tokens_in, estimate.tokens_out)
    if cost is not None:
        table.add_row("cost of these tokens, at most", _money(cost))
    console = Console()
    console.print(table)
    counted = f"Counted with {tokenizer}." if tokenizer else "Four characters count as one token."
    console.print(
        f"{counted} Repeated requests and a model's reasoning come on top.", soft_wrap=True
    )
