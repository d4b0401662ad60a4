"""What the rest of a study will take, by what is done of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from axolotl_cft.study.plan import Step


def foretell(
    chain: str, steps: Sequence[Step], taken: Mapping[str, float], at_once: int = 1
) -> str | None:
    """A sentence about what is left after an arm has been finished with one seed.

    A step that is left is taken to last as long as the median of its kind in its stage.

    Args:
        chain: what is finished (`cft/seed1`).
        steps: of the study.
        taken: name of a finished step -> its seconds.
        at_once: how many steps are carried out side by side.

    Returns:
        None while a step of `chain` is left, or where no training is.
    """
    known: dict[tuple[str, str | None], list[float]] = {}
    for step in steps:
        if step.name in taken:
            known.setdefault((step.kind, step.run.stage), []).append(taken[step.name])
    mine = [taken.get(step.name) for step in steps if step.run.chain == chain]
    left = [step for step in steps if step.name not in taken]
    trainings = sum(step.kind == "train" for step in left)
    if not mine or None in mine or not trainings:
        return None
    guessed = [(step, known.get((step.kind, step.run.stage))) for step in left]
    seconds = sum(median(alike) for _, alike in guessed if alike) / at_once
    unknown = Counter(step.kind for step, alike in guessed if not alike)
    which = "the training that is" if trainings == 1 else f"the {trainings} trainings that are"
    like = "it is" if trainings == 1 else "they are"
    missing = " and ".join(f"{count} {kind}" for kind, count in unknown.items())
    rest = f", without {missing} steps, of which none is done yet" if unknown else ""
    spent = sum(each for each in mine if each is not None)
    return (
        f"{chain} took {_duration(spent)}; {which} left will take about {_duration(seconds)} if "
        f"{like} like what is done{rest}"
    )


def _duration(seconds: float) -> str:
    """`1 h 12 min`, `12 min` or `40 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
