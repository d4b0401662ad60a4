"""What the rest of a study will take."""

import pytest

from axolotl_cft.study.plan import Kind, Run, Step
from axolotl_cft.study.remaining import _duration, foretell


def step(kind: Kind, arm: str, seed: int | None, stage: str | None = None) -> Step:
    return Step(kind, Run(arm, seed, stage), (), "")


STEPS = [
    *(step("prepare", arm, 1) for arm in ("cpt", "cft")),
    step("evaluate", "base", None),
    *(
        step(kind, arm, seed)
        for seed in (1, 2, 3)
        for arm in ("cpt", "cft")
        for kind in ("train", "evaluate")
    ),
]
TAKEN = {
    **{"cpt/seed1 prepare": 60.0, "cft/seed1 prepare": 120.0, "base evaluate": 600.0},
    **{"cpt/seed1 train": 3600.0, "cpt/seed1 evaluate": 660.0},
}


def test_medians_of_what_is_done_tell_what_is_left() -> None:
    # 5 trainings of an hour, 5 evaluations of 630 s
    assert foretell("cpt/seed1", STEPS, TAKEN) == (
        "cpt/seed1 took 1 h 12 min; the 5 trainings that are left will take about 5 h 52 min if "
        "they are like what is done"
    )
    assert "about 2 h 56 min" in str(foretell("cpt/seed1", STEPS, TAKEN, at_once=2))
    more = TAKEN | {"cft/seed1 train": 7200.0, "cft/seed1 evaluate": 720.0}
    slow = more | {"cpt/seed2 train": 36000.0}  # one slow step does not count for all
    assert "the 3 trainings that are left will take about 6 h 44 min" in str(
        foretell("cft/seed1", STEPS, slow)
    )


def test_nothing_is_said_before_a_run_is_finished_or_where_nothing_is_left() -> None:
    assert foretell("cft/seed1", STEPS, TAKEN) is None
    assert foretell("cft/seed9", STEPS, TAKEN) is None
    everything = {each.name: 1.0 for each in STEPS}
    assert foretell("cpt/seed1", STEPS, everything) is None
    last = {name: s for name, s in everything.items() if not name.startswith("cft/seed3")}
    assert foretell("cpt/seed1", STEPS, last) == (
        "cpt/seed1 took 3 s; the training that is left will take about 2 s if it is like what is "
        "done"
    )


def test_stages_are_told_apart_and_what_nobody_knows_is_named() -> None:
    staged = [
        step(kind, arm, 1, stage)
        for arm in ("cpt", "lora")
        for stage in ("long", "short")
        for kind in (("train", "merge") if arm == "lora" else ("train",))
    ]
    taken = {"cpt/seed1/long train": 7200.0, "cpt/seed1/short train": 600.0}
    assert foretell("cpt/seed1", staged, taken) == (
        "cpt/seed1 took 2 h 10 min; the 2 trainings that are left will take about 2 h 10 min if "
        "they are like what is done, without 2 merge steps, of which none is done yet"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "1 h 0 min"), (4320, "1 h 12 min")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
