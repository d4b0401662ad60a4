"""Results that hold are kept: only what would come out otherwise is evaluated again.

The programs are stand-ins (`fake_host.py`); the last test goes through the harness's own.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fake_host
import pytest
import yaml
from click.testing import CliRunner
from studies import FAKE, REAL, UNCHECKED, Call, end, journal, write_study

from axolotl_cft.cli import main
from axolotl_cft.evaluation.requested import requested
from axolotl_cft.evaluation.results import Evaluation
from axolotl_cft.evaluation.sources import plan_study, read_runs
from axolotl_cft.records import StepMark
from axolotl_cft.study import outcome, preflight, runner
from axolotl_cft.study.task_files import TaskFiles

UNTOUCHED = {"arms": {"base": {"train": False}}, "seeds": [1], "stages": {}, "evaluate": None}
MORE = ["study_parity", "more"]


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of keys and tasks, which import host and harness."""
    monkeypatch.setattr(preflight, "check_plan", lambda *arguments: None)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins run here, where all that they import is in memory already."""

    def run_here(command: tuple[str, ...], log: Path, *_: Any) -> int:
        with log.open("a") as output, contextlib.redirect_stdout(output):
            try:
                fake_host.main(*command[command.index(fake_host.__file__) + 1 :])
            except SystemExit as exc:
                return int(exc.code or 0)
        return 0

    monkeypatch.setattr(runner, "run_child", run_here)


def untouched_study(folder: Path, model: Path, launch: dict[str, str] = FAKE) -> Path:
    """A study that trains nothing: one model, one task."""
    return write_study(folder, model, launch, **UNTOUCHED, baseline="base")


def change(study: Path, **blocks: Any) -> None:
    """Replace blocks of the study; those of `lm_eval` are merged."""
    content = yaml.safe_load(study.read_text())
    blocks["lm_eval"] = content["lm_eval"] | blocks.get("lm_eval", {})
    study.write_text(yaml.safe_dump(content | blocks, sort_keys=False))


def call(study: Path, root: Path, succeeds: bool = True) -> str:
    arguments = ["study", str(study), "--output-dir", str(root), "--no-report"]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code == 0) == succeeds, result.output
    return result.output


def asked(root: Path) -> list[str]:
    """What each process of the harness was asked for, in order."""
    commands = [shlex.split(e["command"]) for e in journal(root) if e["event"] == "started"]
    return [command[command.index("--tasks") + 1] for command in commands if "--tasks" in command]


def reported(root: Path) -> Evaluation:
    [run] = read_runs(plan_study(root, None))
    return run


def counts(root: Path) -> dict[str, int]:
    """Task -> number of items, as the report reads it."""
    return {task: result.count for task, result in reported(root).tasks.items()}


# --- what is evaluated again, and what is not ------------------------------------------------


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_a_task_that_is_added_is_evaluated_alone_and_one_that_is_removed_is_gone(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    change(study, tasks=MORE)
    call(study, root)
    assert asked(root) == ["study_parity", "more"]
    assert counts(root) == {"study_parity": 8, "more": 8}
    assert reported(root).notes == ()
    assert len({path.parent for path in (root / "base/eval").rglob("results_*.json")}) == 1

    change(study, tasks=["more"])
    call(study, root)
    assert counts(root) == {"more": 8}
    change(study, tasks=MORE)
    call(study, root)
    assert counts(root) == {"study_parity": 8, "more": 8}
    assert asked(root) == ["study_parity", "more"]  # no process for either

    change(study, lm_eval={"limit": 4})
    call(study, root)
    assert asked(root)[2:] == ["study_parity,more"]
    assert counts(root) == {"study_parity": 4, "more": 4}
    assert len([*(root / "base/eval").rglob("results_*.json")]) == 1


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_where_and_how_fast_a_model_runs_repeats_nothing(tmp_path: Path, tiny_model: Path) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    shutil.copytree(tmp_path / "tasks", tmp_path / "moved")
    (tmp_path / "moved/new.yaml").write_text("task: new\n")
    idle = {"batch_size": 4, "device": "cuda:1", "include_path": str(tmp_path / "moved")}
    idle |= {"model_args": {"parallelize": True, "max_retries": 5}}
    change(study, lm_eval=idle, launch={**FAKE, "evaluate": f"env {FAKE['evaluate']}"})
    call(study, root)
    assert asked(root) == ["study_parity"]
    change(study, lm_eval={"model_args": {"dtype": "float32"}})
    call(study, root)
    assert asked(root) == ["study_parity", "study_parity"]


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_a_task_whose_files_were_edited_is_evaluated_again_alone(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    (tmp_path / "tasks/more.yaml").write_text("task: more\ndoc_to_text: a\n")
    change(study, tasks=MORE)
    call(study, root)
    os.utime(tmp_path / "tasks/more.yaml", (1e9, 1e9))
    call(study, root)
    (tmp_path / "tasks/more.yaml").write_text("task: more\ndoc_to_text: b\n")
    call(study, root)
    assert asked(root) == ["study_parity,more", "more"]
    assert counts(root) == {"study_parity": 8, "more": 8}
    with (tmp_path / "items.jsonl").open("a") as items:
        items.write('{"question": "8 is", "label": 0}\n')
    call(study, root)
    assert asked(root)[2:] == ["study_parity"]


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_a_study_that_was_renamed_gets_another_task(tmp_path: Path, tiny_model: Path) -> None:
    """The harness names its folder after the model's path, which is another one now."""
    study = write_study(tmp_path, tiny_model, FAKE, **UNTOUCHED | {"arms": {"cft": None}})
    change(study, baseline="cft")
    call(study, tmp_path / "before")
    root = (tmp_path / "before").rename(tmp_path / "after")
    change(study, tasks=MORE)
    said = call(study, root)
    assert asked(root) == ["study_parity", "more"]
    assert "cft/seed1 took" not in said  # nothing is left that anyone would wait for
    assert counts(root) == {"study_parity": 8, "more": 8}
    assert reported(root).notes == ()


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_what_is_left_is_said_once_and_every_mark_names_its_software(
    tmp_path: Path, tiny_model: Path
) -> None:
    three = {"arms": {"cft": None}, "seeds": [1, 2, 3]}
    study = write_study(tmp_path, tiny_model, FAKE, **UNTOUCHED | three, baseline="cft")
    root = tmp_path / "out"
    said = call(study, root)
    assert len(re.findall(r"took \d+ s; the .* left will take about", said)) == 1
    assert re.search(r"cft/seed1 took \d+ s; the 2 trainings that are left will", said)
    marks = {kind: StepMark.read(root / f"cft/seed1/{kind}.json") for kind in ("prepare", "train")}
    ours = {name: version(name) for name in ("axolotl-cft", "axolotl", "transformers", "torch")}
    assert [mark.software for mark in marks.values()] == [ours, ours]
    evaluated = StepMark.read(root / "cft/seed1/evaluate.json").software
    assert evaluated == {"lm_eval": version("lm_eval"), "transformers": "5.0.0"}
    runs = json.loads((root / "study.json").read_text())["runs"]
    assert [run["software"] for run in runs] == [ours] * 3


def test_the_software_of_a_training_is_what_its_ledger_says(tmp_path: Path) -> None:
    assert outcome.trained_with(tmp_path) == {}
    ledger: dict[str, Any] = {"schema": 1, "train": {"targets_digest": "0" * 32}}
    part = {"versions": {"torch": "2.12.0", "axolotl": "0.19.0"}, "cuda": "13.0"}
    on_gpus = [
        {**part, "devices": {"NVIDIA H100": 8}},
        {
            **part,
            "versions": {"torch": "2.13.0", "axolotl": "0.19.0"},
            "devices": {"NVIDIA H100": 4},
        },
    ]
    cases = {
        "none": ([], {}),
        "resumed": (
            on_gpus,
            {
                **{"torch": "2.12.0 then 2.13.0", "axolotl": "0.19.0"},
                **{"cuda": "13.0", "gpu": "NVIDIA H100"},
            },
        ),
        "cpu": (
            [{"versions": {"torch": "2"}, "cuda": None, "devices": {"cpu": 2}}],
            {"torch": "2"},
        ),
    }
    for software, found in cases.values():
        (tmp_path / "cft_ledger.json").write_text(json.dumps({**ledger, "software": software}))
        assert outcome.trained_with(tmp_path) == found


# --- interruptions ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_an_evaluation_that_is_killed_leaves_the_results_before_it(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    change(study, tasks=MORE)
    killed = Call(study, root, UNCHECKED, **{"base evaluate": "hang"})
    half = root / "base/eval.partial"
    end(killed.kill_when(lambda: any(half.rglob("samples_more_*.jsonl"))))
    assert counts(root) == {"study_parity": 8}
    change(study, tasks=["study_parity"])
    call(study, root)  # what was begun is not wanted any more
    assert counts(root) == {"study_parity": 8}
    assert asked(root) == ["study_parity", "more"]
    change(study, tasks=MORE)
    call(study, root)
    assert asked(root) == ["study_parity", "more", "more"]
    assert counts(root) == {"study_parity": 8, "more": 8}
    assert not half.exists()


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_other_settings_that_fail_leave_the_results_of_those_before(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    monkeypatch.setenv("FAKE_HOST", json.dumps({"base evaluate": "nan"}))
    change(study, lm_eval={"limit": 4})
    call(study, root, succeeds=False)
    monkeypatch.delenv("FAKE_HOST")
    change(study, lm_eval={"limit": None})
    call(study, root)
    assert asked(root) == ["study_parity", "study_parity"]
    assert counts(root) == {"study_parity": 8}


@pytest.mark.usefixtures("unchecked", "in_this_process")
@pytest.mark.parametrize("moved", [0, 1, 2])
def test_results_that_were_moved_half_are_nobodys(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """The power fails after so many of the two files; then the task's old text comes back."""
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    task = tmp_path / "tasks/more.yaml"
    task.write_text("task: more\ndoc_to_text: a\n")
    change(study, tasks=MORE)
    call(study, root)
    task.write_text("task: more\ndoc_to_text: b\n")
    replace, left = Path.replace, [moved]

    def interrupt(folder: Path, **options: Any) -> None:
        if folder.exists():
            raise KeyboardInterrupt

    def cut_short(path: Path, target: Path) -> Path:
        if path.parent.parent.name == "eval.partial":
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut_short)
        if moved == 2:  # whole, but not yet noted
            patch.setattr(shutil, "rmtree", interrupt)
        call(study, root, succeeds=False)
    task.write_text("task: more\ndoc_to_text: a\n")
    call(study, root)
    assert asked(root) == ["study_parity,more", "more", "more"]
    assert counts(root) == {"study_parity": 8, "more": 8}


# --- earlier versions, other harnesses -------------------------------------------------------


def rewrite(mark: Path, **changes: Any) -> None:
    """Change a mark; a value of None removes a key."""
    content = json.loads(mark.read_text()) | changes
    mark.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_what_version_0_1_evaluated_is_kept(tmp_path: Path, tiny_model: Path) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    mark = root / "base/evaluate.json"
    rewrite(mark, tasks=None, software=None)
    call(study, root)
    change(study, tasks=MORE)
    call(study, root)
    assert asked(root) == ["study_parity", "more"]
    rewrite(mark, tasks=None, software=None, identity="of other settings")
    call(study, root)
    assert asked(root)[2:] == ["study_parity,more"]


@pytest.mark.usefixtures("unchecked", "in_this_process")
def test_the_results_of_a_run_are_of_one_harness_and_all_there(
    tmp_path: Path, tiny_model: Path
) -> None:
    study, root = untouched_study(tmp_path, tiny_model), tmp_path / "out"
    call(study, root)
    mark = root / "base/evaluate.json"
    rewrite(mark, software={**StepMark.read(mark).software, "lm_eval": "0.4.0"})
    call(study, root)
    assert asked(root) == ["study_parity"]  # an upgrade alone is no reason
    change(study, tasks=MORE)
    call(study, root)
    assert asked(root)[1:] == ["study_parity,more"]
    shutil.rmtree(root / "base/eval")
    change(study, tasks=[*MORE, "third"])
    call(study, root)
    assert asked(root)[2:] == ["study_parity,more,third"]
    assert counts(root) == {"study_parity": 8, "more": 8, "third": 8}


# --- what a word stands for ------------------------------------------------------------------

RESULTS = {
    "configs": {"a_one": {}, "a_two": {"tag": ["fast", "old"]}, "b": {"tag": "fast"}},
    "group_subtasks": {"all": ["inner", "b"], "inner": ["a_one", "a_two"], "again": ["b"]},
}


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["b"], {"b"}),
        (["again"], {"again", "b"}),
        (["all"], {"all", "inner", "a_one", "a_two", "b"}),
        (["a_*"], {"a_one", "a_two"}),
        (["fast"], {"a_two", "b"}),
        (["ol?"], {"a_two"}),
        (["again", "inner"], {"again", "b", "inner", "a_one", "a_two"}),
        (["nothing"], set()),
        ([], set()),
    ],
)
def test_words_stand_for_tasks_groups_tags_and_patterns(words: list[str], names: set[str]) -> None:
    assert requested(RESULTS, words) == names


def test_a_task_is_defined_by_all_files_that_it_rests_on(tmp_path: Path) -> None:
    files = {
        "sub/one.yaml": "task: one\ninclude: ../_base\ntag: [t]\n",
        "sub/two.yaml": "task: two\ntag: t\n",
        "_base": "process_results: !function code.score\n",
        "code.py": "import more\n",
        "more.py": "x = 1\n",
        "group.yaml": "group: both\ntask: [one, {group: g, task: [{task: two}, both]}]\n",
        "alone.yaml": "task: alone\n",
        "README.md": "hello\n",
    }
    folder, over = tmp_path / "tasks", tmp_path / "over"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    over.mkdir()
    words = ["one", "two", "both", "t", "alone", "o*", str(folder / "sub/one.yaml"), "unknown"]

    def digests() -> dict[str, str]:
        return {Path(word).name: TaskFiles((over, folder)).digest(word) for word in words}

    def changed_by(path: Path, text: str) -> set[str]:
        before = digests()
        kept = path.read_text() if path.exists() else None
        path.write_text(text)
        after = digests()
        path.write_text(kept) if kept is not None else path.unlink()
        assert digests() == before
        return {word for word in before if before[word] != after[word]}

    assert digests()["unknown"] == ""
    on_one = {"one", "both", "t", "o*", "one.yaml"}
    assert changed_by(folder / "sub/one.yaml", files["sub/one.yaml"] + "limit: 1\n") == on_one
    assert changed_by(folder / "_base", files["_base"] + "x: 1\n") == on_one
    assert changed_by(folder / "more.py", "x = 2\n") == on_one
    assert changed_by(folder / "sub/two.yaml", "task: two\ntag: [t]\n") == {"two", "both", "t"}
    assert changed_by(folder / "group.yaml", "group: both\ntask: [one]\n") == {"both"}
    assert changed_by(folder / "README.md", "bye\n") == set()
    assert changed_by(folder / "new.yaml", "task: new\n") == set()
    assert changed_by(over / "mine.yaml", "task: two\n") == {"two", "both", "t"}  # it wins


# --- the harness itself ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_what_the_harness_leaves_of_two_processes_is_read_together(
    tmp_path: Path, tiny_model: Path
) -> None:
    """A group, then a tag and a file beside it; a member of the group is in the tag as well."""
    study, root = untouched_study(tmp_path, tiny_model, REAL), tmp_path / "out"
    task = (tmp_path / "tasks/parity.yaml").read_text()
    for name, tag in (("odd", "tag: both\n"), ("even", "tag: both\n"), ("lone", "")):
        text = task.replace("task: study_parity", f"task: study_{name}\n{tag}".rstrip())
        (tmp_path / f"tasks/{name}.yaml").write_text(text)
    lone = tmp_path / "tasks/lone.yaml"  # of files elsewhere lm-eval 0.4.11 knows no folder
    group = "group: study_group\ntask: [study_parity, study_odd]\n"
    group += "aggregate_metric_list: [{metric: acc, weight_by_size: false}]\n"
    (tmp_path / "tasks/group.yaml").write_text(group)
    change(study, tasks=["study_group"])
    call(study, root)
    change(study, tasks=["study_group", "both", str(lone)])
    call(study, root)
    assert asked(root) == ["study_group", f"both,{lone}"]
    run = reported(root)
    assert counts(root) == dict.fromkeys(
        ["study_parity", "study_odd", "study_even", "study_lone"], 8
    )
    assert run.groups["study_group"][2] == ("study_parity", "study_odd")
    assert run.notes == ()
    change(study, tasks=["both"])
    call(study, root)
    assert (set(counts(root)), reported(root).groups) == ({"study_odd", "study_even"}, {})
    assert len(asked(root)) == 2
    software = StepMark.read(root / "base/evaluate.json").software
    assert software.keys() >= {"lm_eval", "transformers", "torch"}
    assert outcome.check_evaluation(root / "base/eval", ["both"]) == software
