"""What the report says of a comparison, in sentences that claim no more than it shows."""

from collections.abc import Sequence

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.caveats import listed
from axolotl_cft.evaluation.comparison import Comparison, Report, Verdict
from axolotl_cft.evaluation.groups import BY_POSITION, HELD_OUT, Group
from axolotl_cft.evaluation.layout import interval, p_shown, signed, spread
from axolotl_cft.evaluation.results import OURS, is_percent

_METRICS = {
    "acc": "accuracy",
    "f1": "weighted F1",
    "bits": "log2 p(answer)",
    "bits_per_byte": "bits per byte",
}


def headlines(report: Report) -> list[str]:
    """One or two sentences for each comparison: did it help, and what was forgotten?"""
    said = []
    for group in report.groups:
        said += _controls(report, group)
        chosen = [
            c
            for c in report.comparisons
            if c.group == group.name and not report.is_general(c) and not report.is_control(c)
        ]
        averages = [c for c in chosen if not c.task]
        if averages or len(group.tasks.keys() - report.general) <= 3:
            said += [_headline(report, group, c) for c in averages or chosen]
        else:
            said += _tally(group, chosen)
    return said + _forgotten(report)


def _controls(report: Report, group: Group) -> list[str]:
    """Whether every row scores what chance does where nobody can know the answers."""
    said = []
    for task, title in group.tasks.items():
        controls = [control for control in report.controls if control.task == task]
        if not controls:
            continue
        start = f"**{title}** (chance {100 * controls[0].chance:.2f} %): "
        off = {control.row for control in controls if control.off_chance}
        unknown = {control.row for control in controls if control.p is None} - off
        if off:
            shown = listed([control.shown() for control in controls if control.off_chance])
            text = "the options give something away, so do not read the scores of"
            said.append(f"{start}**off chance**, {shown}: {text} {group.name}.")
        if at := [
            row
            for row in dict.fromkeys(control.row for control in controls)
            if row not in off | unknown
        ]:
            said.append(f"{start}at chance in {listed(at, len(at))}.")
        if unknown:
            takes = "that takes the scores of single items (`lm_eval --log_samples`)"
            said.append(f"{start}not tested in {listed(sorted(unknown))}: {takes}.")
    return said


def _forgotten(report: Report) -> list[str]:
    """What became of general ability: against the baseline, and against the untouched model."""
    if not report.general:
        return []
    untouched = report.plan.untouched
    changes: dict[tuple[str, str], list[str]] = {}
    for group in report.groups:
        chosen = [
            c
            for c in (*report.comparisons, *report.against_untouched)
            if c.group == group.name and report.is_general(c) and c.row != untouched
        ]
        averages = [c for c in chosen if not c.task]
        for c in averages or chosen:
            changes.setdefault((c.row, c.against), []).append(_change(report, group, c))
    said = []
    for (row, against), mine in changes.items():
        called = f"{against}, the untouched model" if against == untouched else against
        said.append(f"**General ability, {row} against {called}**: {'; '.join(mine)}.")
    if untouched is None:
        said.append(
            "What was forgotten of general ability is not known: no row is the untouched model "
            "(an arm with `train: false`)."
        )
    return said


def _change(report: Report, group: Group, c: Comparison) -> str:
    text = f"{_amount(c.value, c.metric)} on {name_of(group, c)} ({_what(group, c)}"
    if c.difference is None:
        return f"{text}; no interval)"
    words = verdict_in_words(c, report.margin)
    return f"{text}; 95 % interval {interval(c)}), {words}"


def _headline(report: Report, group: Group, c: Comparison) -> str:
    start = f"**{c.row} against {c.against} on {name_of(group, c)}** ({_what(group, c)}): "
    start += _amount(c.value, c.metric)
    if c.difference is None:
        why = "this metric is not a mean over items" if c.logged else "sample logs are missing"
        return f"{start}; no interval, because {why}."
    over = "items and seeds" if c.difference.seeds else "items"
    text = (
        f"{start} (95 % interval over {over} {interval(c)}); {verdict_in_words(c, report.margin)}"
    )
    if c.smallest_detectable:
        size = _amount(c.smallest_detectable, c.metric).lstrip("+")
        text += f"; it finds a true difference of about {size} four times in five"
    return text + "." + _seed_sentence(c)


def name_of(group: Group, c: Comparison) -> str:
    """What was compared: a task by its title, or the group."""
    if c.task.startswith(BY_POSITION):
        return f"held-out text, {group.tasks[c.task]}"
    return group.name if not c.task else group.tasks[c.task]


def _what(group: Group, c: Comparison) -> str:
    """The metric, what it is averaged over, and how much of it there is."""
    metric = metric_in_words(c.metric, group)
    if not c.task:
        every = len(c.tasks) == len(group.averaged)
        over = f"{'' if every else 'only '}{len(c.tasks)} tasks"
        if len(group.averaged) < len(group.tasks):
            over = listed([group.tasks[task] for task in c.tasks])
        metric = f"average {metric} of {over}"
    metric += "" if c.higher_is_better else ", lower is better"
    several = c.units and c.task and c.units[0] < c.items
    shared = f" of {c.units[0]:,} {c.units[1]}" if c.units and several else ""
    runs = "" if c.runs == (1, 1) else f", {c.runs[0]} against {c.runs[1]} runs"
    noun = "documents" if c.task.startswith(HELD_OUT) else "items"
    items = f", {c.items:,} {noun}" if c.items else ""
    return f"{metric}{items}{shared}{runs}"


def metric_in_words(name: str, group: Group) -> str:
    """In words; only of our own tasks is it known that their F1 is weighted, and what bits are."""
    ours = all(task.startswith(OURS) for task in group.tasks)
    return _METRICS.get(name, name) if ours or name not in ("f1", "bits") else name


def _amount(value: float, metric: str) -> str:
    unit = " points" if is_percent(metric) else " bits" if metric == "bits" else ""
    return signed(value, metric) + unit


def verdict_in_words(c: Comparison, margin: float) -> str:
    """The verdict in words: of methods, or of two models only."""
    found = c.verdict(margin)
    points = f"{100 * margin:g} points" if margin != 0.01 else "1 point"
    words = {
        Verdict.BETTER: "an improvement",
        Verdict.WORSE: "a loss",
        Verdict.EQUIVALENT: f"no difference larger than {points}",
        Verdict.UNDECIDED: "not distinguishable from zero",
        Verdict.UNCORRECTED: _uncorrected(c),
        Verdict.ALIKE: "the two score alike on every item",
        Verdict.UNTESTED: "a single item or unit tells nothing",
    }
    if not c.of_models:
        return words[found]
    words[Verdict.BETTER] = f"this model of {c.row} is better than {_rival(c)}"
    words[Verdict.WORSE] = f"this model of {c.row} is worse than {_rival(c)}"
    if not c.single[0]:
        words[Verdict.BETTER] = f"{c.row} is better than this model of {c.against}"
        words[Verdict.WORSE] = f"{c.row} is worse than this model of {c.against}"
    which = "each" if all(c.single) else f"of {c.row if c.single[0] else c.against}"
    return f"{words[found]} (one training {which}: the luck of its seed is not in this interval)"


def _rival(c: Comparison) -> str:
    return f"this one of {c.against}" if c.single[1] else c.against


def _uncorrected(c: Comparison) -> str:
    if c.p is not None and c.p >= 1 - statistics.LEVEL:
        return f"the interval excludes zero, but the exact test does not (p {p_shown(c.p)})"
    return "the interval excludes zero, but not after correction for the other comparisons"


def _seed_sentence(c: Comparison) -> str:
    said = ""
    if len(c.by_seed) > 1:
        said = f" By seed: {spread(c.by_seed, c.metric)} ({len(c.by_seed)} seeds)."
    return said + (" Two seeds: indicative." if _indicative(c) else "")


def _indicative(c: Comparison) -> bool:
    return not c.of_models and 2 in c.runs


def _tally(group: Group, comparisons: Sequence[Comparison]) -> list[str]:
    """For tasks without a common average: on how many a difference holds."""
    said = []
    for row in dict.fromkeys(c.row for c in comparisons):
        tested = [c for c in comparisons if c.row == row]
        what = "stretches" if tested[0].task.startswith(BY_POSITION) else "tasks"
        start = f"**{row} against {tested[0].against} on {group.name}** ({len(tested)} {what}, no "
        start += "common average): "
        found = [c.verdict() for c in tested if c.difference]
        if not found:
            why = "sample logs are missing" if not all(c.logged for c in tested) else "no means"
            said.append(f"{start}not tested ({why}).")
            continue
        up, down = found.count(Verdict.BETTER), found.count(Verdict.WORSE)
        text = f"{start}after Holm's correction better on {up}, worse on {down}"
        if len(found) < len(tested):
            text += f" of {len(found)} that could be tested"
        if any(c.of_models for c in tested):
            text += " (a single training: a model is compared, not a method)"
        text += "." + (" Two seeds: indicative." if any(map(_indicative, tested)) else "")
        said.append(text)
    return said
