"""The report as GitHub Markdown. Numbers in percent with two decimals, like the paper's."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files

import numpy as np

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.by_density import density_section
from axolotl_cft.evaluation.caveats import CONSTANT_SHARE, listed
from axolotl_cft.evaluation.comparison import (
    FEW_DISCORDANT,
    Comparison,
    Report,
)
from axolotl_cft.evaluation.cost import TrainingCost
from axolotl_cft.evaluation.groups import HELD_OUT, Group
from axolotl_cft.evaluation.layout import (
    as_number,
    as_table,
    folded,
    interval,
    p_shown,
    percent,
    signed,
    spread,
)
from axolotl_cft.evaluation.llm_cost import NOTE as LLM_NOTE
from axolotl_cft.evaluation.llm_cost import llm_columns
from axolotl_cft.evaluation.ranges import between
from axolotl_cft.evaluation.results import TaskResult
from axolotl_cft.evaluation.wording import headlines, metric_in_words
from axolotl_cft.records import ContaminationRecord

_WIDE = 8  # groups with more tasks than this get one line per task, not one column
_LOSSES = {"bits_per_byte": "Per byte", "bits_per_word": "Per word", "bits_per_token": "Per token"}


def render(
    report: Report,
    figures: Mapping[str, Iterable[str]],
    contamination: ContaminationRecord | None = None,
    paper: bool = False,
    clean: Report | None = None,
    curves: str | None = None,
) -> str:
    """The whole report as one Markdown text.

    Args:
        report: what is to be said.
        figures: group name -> file names of its figures, relative to the report.
        contamination: the record of `axolotl-cft contamination`; None if it was not run.
        paper: whether to add the paper's own numbers, apart from the measured ones.
        clean: the same runs without the contaminated items.
        curves: file name of the learning curves.
    """
    parts = [f"# {report.plan.title}", _summary(report), _warnings(report)]
    if curves:
        parts.append(f"![Loss of held-out text while training]({curves})")
    for group in report.groups:
        parts.append(_group(report, group, figures.get(group.name, ())))
        if paper:
            parts.append(_paper(group))
    parts += [_clean(report, clean), _protocol(report), _costs(report)]
    parts += [_contamination(contamination), _method(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: Report) -> str:
    lines = ["## Did it help?", ""]
    lines += [f"- {sentence}" for sentence in headlines(report)]
    if report.plan.no_heldout:
        lines.append(f"- No loss on held-out text: {report.plan.no_heldout.rstrip('.')}.")
    if not report.comparisons:
        lines.append("- There is a single row, so nothing is compared.")
        return "\n".join(lines)
    if not report.logged:
        lines += ["", "Intervals and tests need sample logs: `lm_eval --log_samples`."]
    return "\n".join(lines)


def _warnings(report: Report) -> str:
    found = list(report.warnings)
    for row in report.rows:
        usual = [
            f'"{c.usual}" to {100 * c.share:.1f} % of {c.task}'
            for c in report.constants
            if c.row == row and c.share >= CONSTANT_SHARE and c.share > c.gold_share
        ]
        if usual:
            found.append(f"{row} nearly always gives the same answer: {listed(usual)}")
        unbeaten = [c.task for c in report.constants if c.row == row and not c.beaten]
        if unbeaten:
            found.append(
                f"{row} does not clearly beat the best constant answer on {listed(unbeaten)} "
                "(marked † below)"
            )
    if not found:
        return ""
    return "\n".join(["## Before you believe it", "", *(f"- {text}." for text in found)])


def _group(report: Report, group: Group, figures: Iterable[str]) -> str:
    metric = f": {metric_in_words(group.metric, group)}" if group.metric else ""
    table = _loss_table(report) if HELD_OUT in group.tasks else _score_table(report, group)
    parts = [f"## {group.name}{metric}", table, *([group.note] if group.note else [])]
    parts += [f"![{_caption(name)}, {group.name}]({name})" for name in figures]
    chosen = [c for c in report.comparisons if c.group == group.name]
    for row in dict.fromkeys(c.row for c in chosen):
        mine = [c for c in chosen if c.row == row]
        table = f"### {row} against {mine[0].against}\n\n" + _difference_table(group, mine)
        parts.append(table if len(mine) <= _WIDE + 1 else folded(f"{row}: by task", table))
    if HELD_OUT in group.tasks and (by_density := density_section(report)):
        parts.append(by_density)
    return "\n\n".join([*parts, *_readings(report, group)])


def _caption(name: str) -> str:
    return "Differences" if name.startswith("differences") else "Scores"


def _score_table(report: Report, group: Group) -> str:
    """Rows and columns like the paper's; the last row is what a constant answer scores."""
    tasks = list(group.tasks)
    averaged = any(report.averages(row, group) for row in report.rows)
    over = report.averaged(group)
    header = ["Model", *group.tasks.values(), *([_average_of(group, over)] if averaged else [])]
    body = []
    for row in report.rows:
        marks = {c.task: "" if c.beaten else " †" for c in report.constants if c.row == row}
        cells = [_spread(report, row, task) + marks.get(task, "") for task in tasks]
        if averaged:
            cells.append(_scores(report.averages(row, group), str(group.metric)))
        if any(cell != "–" for cell in cells):
            body.append([row, *cells])
    constants = {c.task: c for c in report.constants if c.task in group.tasks}
    if constants:
        cells = [
            f"{percent(constants[t].score)} ({constants[t].label})" if t in constants else "–"
            for t in tasks
        ]
        if averaged:
            full = constants.keys() >= set(over)
            scores = [constants[t].score for t in over] if full else []
            mean = float(np.average(scores, weights=group.weights_of(over))) if full else None
            cells.append("–" if mean is None else percent(mean))
        body.append(
            ["*best constant answer*", *(cell if cell == "–" else f"*{cell}*" for cell in cells)]
        )
    if len(tasks) > _WIDE:
        header, *body = map(list, zip(header, *body, strict=True))
    notes = []
    if max(len(report.scores(row, task)) for row in report.rows for task in tasks) > 1:
        notes.append("Mean over seeds, with the lowest and the highest seed in brackets.")
    if any(not c.beaten for c in report.constants if c.task in group.tasks):
        notes.append(
            "† not clearly better than always giving the same answer (95 % interval of the "
            "difference)."
        )
    return "\n\n".join([as_table(header, body), *([" ".join(notes)] if notes else [])])


def _loss_table(report: Report) -> str:
    """Bits of held-out text without prompts, in the units that can be shared."""
    runs = {
        row: [run.tasks[HELD_OUT].metrics for run in of if HELD_OUT in run.tasks]
        for row, of in report.rows.items()
    }
    known = [name for name in _LOSSES if any(name in each for of in runs.values() for each in of)]
    body = [
        [row, *(_scores([each[name] for each in of if name in each], name) for name in known)]
        for row, of in runs.items()
        if of
    ]
    table = as_table(["Model", *(_LOSSES[name] for name in known)], body)
    return (
        f"{table}\n\nBits of bare text without prompts, lower is better. Only *per byte* and *per "
        "word* can be compared between different tokenizers."
    )


def _spread(report: Report, row: str, task: str) -> str:
    metric = next(
        r.tasks[task].metric for rs in report.rows.values() for r in rs if task in r.tasks
    )
    return _scores(report.scores(row, task), metric)


def _scores(values: Sequence[float], metric: str) -> str:
    if not values:
        return "–"
    text = as_number(float(np.mean(values)), metric)
    if len(values) > 1:
        low, high = (as_number(end, metric) for end in (min(values), max(values)))
        if low != high:
            text += f" ({between(low, high, ' to ' if min(values) < 0 else '–')})"
    return text


def _difference_table(group: Group, comparisons: Sequence[Comparison]) -> str:
    row, against = comparisons[0].row, comparisons[0].against
    # Pairs, not a mapping: a row may be called like another column.
    columns: list[tuple[str, Callable[[Comparison], str]]] = [
        ("Task", lambda c: group.tasks.get(c.task) or f"**{_average_of(group, c.tasks)}**"),
        ("Items", _items),
        (against, lambda c: as_number(c.baseline, c.metric)),
        (row, lambda c: as_number(c.arm, c.metric)),
        ("Difference", lambda c: signed(c.value, c.metric)),
        ("95 % interval", lambda c: f"{interval(c)}{' ‡' if _few(c) else ''}"),
    ]
    if any(c.discordant for c in comparisons):
        title = f"Right only in {row} / {against}"
        columns.append(
            (title, lambda c: f"{c.discordant[0]} / {c.discordant[1]}" if c.discordant else "–")
        )
    if any(c.mcnemar is not None and c.mcnemar != c.p for c in comparisons):
        columns.append(("McNemar p (accuracy)", lambda c: p_shown(c.mcnemar)))
    columns += [("p", lambda c: p_shown(c.p)), ("p (Holm)", lambda c: p_shown(c.holm))]
    columns.append(("Detectable", _detectable))
    if any(c.by_seed for c in comparisons):
        columns.append(("By seed", lambda c: spread(c.by_seed, c.metric)))
    cells = [[show(c) for _, show in columns] for c in comparisons]
    text = as_table([title for title, _ in columns], cells)
    if any(_few(c) for c in comparisons):
        text += (
            f"\n\n‡ fewer than {FEW_DISCORDANT} items change between the two: the interval is "
            "rough, rely on the exact test."
        )
    return text


def _items(c: Comparison) -> str:
    if not c.items:
        return "–"
    return f"{c.items:,}" + (f" of {c.units[0]:,} {c.units[1]}" if c.units else "")


def _detectable(c: Comparison) -> str:
    known = c.smallest_detectable is not None
    return as_number(c.smallest_detectable or 0.0, c.metric) if known else "–"


def _average_of(group: Group, tasks: Sequence[str]) -> str:
    if len(group.averaged) < len(group.tasks):  # what stands beside is not in it
        return f"Average of {listed([group.tasks[task] for task in tasks])}"
    return "Average" if len(tasks) == len(group.tasks) else f"Average of {len(tasks)}"


def _few(c: Comparison) -> bool:
    return c.discordant is not None and sum(c.discordant) < FEW_DISCORDANT


def _readings(report: Report, group: Group) -> list[str]:
    """The other metrics of tasks that have several, and how often the usual answer is given."""
    names = ("macro_f1", "acc", "missing", "f1_first_line", "f1_norm")
    usual = {(c.row, c.task): f"{c.usual}, {100 * c.share:.1f} %" for c in report.constants}
    body = []
    for row, runs in report.rows.items():
        for task in group.tasks:
            having = [run.tasks[task] for run in runs if task in run.tasks]
            if not having or having[0].metric != "f1":
                continue
            values = [[r.metrics[name] for r in having if name in r.metrics] for name in names]
            cells = [percent(float(np.mean(v))) if v else "–" for v in values]
            body.append(
                [row, group.tasks[task], percent(float(np.mean([r.score for r in having])))]
            )
            body[-1] += [*cells, usual.get((row, task), "–")]
    if not body:
        return []
    header = ["Model", "Task", "F1", "Macro F1", "Accuracy", "Missing", "F1, first line"]
    header.append("F1 by length")
    return [folded("Other readings of the same answers", as_table([*header, "Usual answer"], body))]


def _paper(group: Group) -> str:
    """The paper's rows for a group, apart from ours; empty if it has none or tasks are missing."""
    content = json.loads(files("axolotl_cft.evaluation").joinpath("paper.json").read_text("utf-8"))
    models = content["groups"].get(group.name)
    if not models or group.weights is None:
        return ""
    body = [
        [f"{model} {name}", *(f"{value:.2f}" for value in values)]
        for model, rows in models.items()
        for name, values in rows.items()
    ]
    return (
        f"### For context: the paper's own numbers, {group.name}\n\n"
        "They come from other models, data and evaluation code than those above, without "
        "published sample logs: context, not a target.\n\n"
        + as_table(["Paper's model", *group.tasks.values(), "Average"], body)
        + f"\n\nSource: {content['source']}. {content['note']}"
    )


def _protocol(report: Report) -> str:
    """Facts that all runs share once, the others by run; then the tasks."""
    runs = [run for runs in report.rows.values() for run in runs]
    names = list(dict.fromkeys(name for run in runs for name in run.facts))
    shared: list[str] = []
    differing: list[str] = []
    for name in names:
        values = {run.facts.get(name, "not recorded") for run in runs}
        (shared if len(values) == 1 else differing).append(name)
    lines = ["## How it was evaluated", ""]
    lines += [f"- {name}: {runs[0].facts[name]}" for name in shared]
    if differing:
        body = [[run.label, *(run.facts[name] for name in differing)] for run in runs]
        lines += ["", as_table(["Run", *differing], body)]
    body = []
    for group in report.groups:
        for task in group.tasks:
            having = [run.tasks[task] for run in runs if task in run.tasks]
            facts = ("metric", "count", "fewshot", "version")
            body.append(
                [
                    task,
                    *(", ".join(dict.fromkeys(_fact(r, f) for r in having)) for f in facts),
                ]
            )
    tasks = as_table(["Task", "Headline metric", "Items", "Few-shot", "Task version"], body)
    return "\n".join([*lines, "", tasks if len(body) <= 2 * _WIDE else folded("Tasks", tasks)])


def _fact(result: TaskResult, name: str) -> str:
    value = getattr(result, name)
    return "–" if name == "count" and not value else str(value)


def _costs(report: Report) -> str:
    if not report.costs:
        return ""
    header = ["Run", "Documents", "Tokens", "Trained tokens", "Share trained"]
    header += ["Prompt share", "Epochs", "Steps", "Wall time", "Tokens/s", "GPU-hours"]
    llm = llm_columns([training for training, _ in report.costs])
    rows = [[training.label, *_cost_cells(cost)] for training, cost in report.costs]
    header, *body = ([*row, *cells] for row, *cells in zip([header, *rows], *llm, strict=True))
    return (
        "## What training cost\n\n"
        + as_table(header, body)
        + "\n\nTokens are those fed to the model over the whole run, prompts included; the share "
        "trained is what the host's sampler left of whole epochs; wall time is the training "
        "loop's, as the host logged it; GPU-hours are wall time times processes (on a machine "
        "without a GPU, process-hours)." + (f" {LLM_NOTE}" if llm else "")
    )


def _cost_cells(cost: TrainingCost) -> list[str]:
    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return [
        shown(cost.documents, ",d"),
        shown(cost.tokens, ",.0f"),
        shown(cost.trained_tokens, ",.0f"),
        "–" if cost.share_trained is None else f"{100 * cost.share_trained:.2f} %",
        "–" if cost.prompt_share is None else f"{100 * cost.prompt_share:.2f} %",
        shown(cost.epochs, ".2f"),
        shown(cost.steps, ",d"),
        "–" if cost.seconds is None else _duration(cost.seconds),
        shown(cost.tokens_per_second, ",.0f"),
        shown(cost.gpu_hours, ".2f"),
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _contamination(record: ContaminationRecord | None) -> str:
    start = "## Contamination\n\n"
    if record is None:
        return (
            start + "Whether test items occur in the training corpus was **not checked**; "
            "`axolotl-cft contamination CORPUS --tasks …` does."
        )
    items = sum(row.contaminated_items for row in record.tasks.values())
    found = "no test item occurs in it"
    if items:
        documents = f"{record.contaminated_documents:,} of {record.documents:,} documents"
        found = f"{items:,} test items occur in it, in {documents}"
    if record.min_words is None:
        how = f"{record.n} words in a row, shorter items as a whole, however short"
    else:
        how = (
            f"{record.n} words in a row, shorter items as a whole; items of fewer than "
            f"{record.min_words} words are too short to tell and were not looked for"
        )
    if record.partial:
        how += (
            f". Items of {record.partial.min_words} words or more were also found in part, from "
            f"{100 * record.partial.share:.0f} % of their words on, in runs of "
            f"{record.partial.run} or more"
        )
    if record.boilerplate:
        how += (
            f". Words in a row that more than {record.boilerplate.items} items share do not count"
        )
    said = [f"Searched in `{record.corpus}`: {found}.", f"What counts: {how}."]
    if record.boilerplate and record.boilerplate.patterns:
        said.append(
            f"Ignored as boilerplate: {record.boilerplate.patterns:,} runs of words that stand in "
            f"more than {record.boilerplate.documents} documents each."
        )
    if record.removal:
        removal = record.removal
        what = f"{removal.passages:,} passages in {removal.documents:,} documents"
        if removal.what == "documents":
            what = f"{removal.documents:,} documents"
        said.append(f"A copy was written without {what}, {100 * removal.share:.2f} % of the text.")
    elif record.removed:
        said.append("A copy was written without those documents.")
    body = [
        [
            task,
            f"{row.items:,}",
            "–" if row.too_short is None else f"{row.too_short:,}",
            f"{row.contaminated_items:,}",
            f"{row.partial_items:,}",
            f"{row.boilerplate_items:,}",
            f"{row.documents:,}",
        ]
        for task, row in record.tasks.items()
    ]
    header = ["Task", "Items", "Too short", "Found", "In part", "Boilerplate only", "Documents"]
    return start + " ".join(said) + "\n\n" + as_table(header, body)


def _clean(report: Report, clean: Report | None) -> str:
    """Every difference beside the same one without the contaminated items."""
    if clean is None:
        return ""
    kept = {(c.group, c.task, c.row): c for c in clean.comparisons}
    header = ["Comparison", "Items", "Difference", "95 % interval", "Clean items"]
    header += ["Clean difference", "Clean 95 % interval", "Verdict on clean items"]
    body = []
    for group in report.groups:
        for c in (c for c in report.comparisons if c.group == group.name and c.logged):
            rest = kept.get((c.group, c.task, c.row))
            where = f"{group.name}, {group.tasks[c.task] if c.task else 'average'}"
            cells = [f"{c.row} against {c.against}: {where}", *_difference_cells(c)]
            if rest and not rest.task and len(rest.tasks) < len(c.tasks):
                cells[0] += f" (clean: of {len(rest.tasks)} tasks)"
            cells += _difference_cells(rest) if rest else ["0", "–", "–"]
            body.append([*cells, str(rest.verdict(report.margin)) if rest else "nothing is left"])
    return "## Without contaminated items\n\n" + as_table(header, body)


def _difference_cells(c: Comparison) -> list[str]:
    return [f"{c.items:,}", signed(c.value, c.metric), interval(c)]


def _method(report: Report) -> str:
    if not report.comparisons:
        return ""
    return f"""## How to read the numbers

- **Interval**: over items and, where a row has several runs, seeds together. The variance over
  items is that of paired answers (for weighted F1 from {statistics.DRAWS:,} paired bootstrap
  resamples); where items share a document, documents are what is counted. To it is added what the
  score varies between the seeds of each row, the luck of single items taken off, with Welch's and
  Satterthwaite's degrees of freedom. Seeds are paired where both rows have the same
  {statistics.SEEDS_FOR_PAIRING} or more seed numbers. It describes these tasks' kind of items, not
  other tasks.
- **One training on a side** says nothing about the luck of its seed: the sentence is then about a
  model, not about the method that made it.
- **p**: for accuracies of single runs the exact McNemar test, on the items that only one of the two
  has right (near the limit it is stricter than the interval); else from the interval's t.
- **Holm**: a task's p is corrected over the tasks of its table, an average's over all averages;
  both over all rows of this report. *An improvement* or *a loss* is claimed only for an interval
  without zero and a corrected p below {1 - statistics.LEVEL:.2f}. *No difference larger than*
  the margin: two one-sided tests at 5 %.
- **Detectable**: about the true difference that a comparison of this size and spread finds in
  {100 * statistics.POWER:.0f} % of cases, correction included (with two or three seeds in 60 to
  70 %: their spread is hardly known)."""
