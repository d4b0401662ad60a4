"""What the report says of a comparison, in sentences that claim no more than it shows."""

from collections.abc import Sequence

from axolotl_cft.evaluation import statistics
from axolotl_cft.evaluation.comparison import Comparison, Report, Verdict
from axolotl_cft.evaluation.groups import HELD_OUT, Group
from axolotl_cft.evaluation.layout import interval, p_shown, signed, spread
from axolotl_cft.evaluation.results import OURS, is_percent

_METRICS = {"acc": "accuracy", "f1": "weighted F1", "bits_per_byte": "bits per byte"}


def headlines(report: Report) -> list[str]:
    """One or two sentences for each comparison: did it help, and what was forgotten?"""
    said = []
    for group in report.groups:
        chosen = [
            c for c in report.comparisons if c.group == group.name and not report.is_general(c)
        ]
        averages = [c for c in chosen if not c.task]
        if averages or len(group.tasks.keys() - report.general) <= 3:
            said += [_headline(report, group, c) for c in averages or chosen]
        else:
            said += _tally(group, chosen)
    return said + _forgotten(report)


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
    return group.name if not c.task else group.tasks[c.task]


def _what(group: Group, c: Comparison) -> str:
    """The metric, what it is averaged over, and how much of it there is."""
    metric = metric_in_words(c.metric, group)
    if not c.task:
        every = len(c.tasks) == len(group.tasks)
        metric = f"average {metric} of {'' if every else 'only '}{len(c.tasks)} tasks"
    metric += "" if c.higher_is_better else ", lower is better"
    shared = f" of {c.units[0]:,} {c.units[1]}" if c.units and c.task else ""
    runs = "" if c.runs == (1, 1) else f", {c.runs[0]} against {c.runs[1]} runs"
    noun = "documents" if c.task == HELD_OUT else "items"
    return f"{metric}, {c.items:,} {noun}{shared}{runs}"


def metric_in_words(name: str, group: Group) -> str:
    """In words; only of our own tasks is it known that their F1 is weighted."""
    ours = all(task.startswith(OURS) for task in group.tasks)
    return _METRICS.get(name, name) if ours or name != "f1" else name


def _amount(value: float, metric: str) -> str:
    return signed(value, metric) + (" points" if is_percent(metric) else "")


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
        start = f"**{row} against {tested[0].against} on {group.name}** ({len(tested)} tasks, no "
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
