"""What is written to disk is read back, what 0.1.0 wrote too; what is unfit is refused."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from loopback_llm import Loopback, serve

from axolotl_cft.cli import main
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.cost import read_cost
from axolotl_cft.evaluation.sources import plan_study
from axolotl_cft.generation.answers import Answers
from axolotl_cft.generation.earlier_journal import TAKEN_OVER, take_over
from axolotl_cft.records import (
    ContaminationRecord,
    GenerationLedger,
    JournalHeader,
    LedgerRecord,
    PreparedDataset,
    PreparedLedger,
    ReachedTrainer,
    Record,
    Software,
    StepMark,
    StudyRecord,
    StudyRun,
    TrainingLedger,
)
from axolotl_cft.study import outcome
from axolotl_cft.study.plan import expand
from axolotl_cft.study.runner import Runner
from axolotl_cft.study.spec import read_study

OLD = Path(__file__).parent / "records_0_1"
"""What version 0.1.0 wrote; its README says how."""

KINDS: dict[str, type[Record]] = {
    "*.cft_ledger.json": PreparedLedger,
    "cft_ledger.json": TrainingLedger,
    "study.json": StudyRecord,
    "generation.json": GenerationLedger,
    "contamination.json": ContaminationRecord,
    "prepare.json": StepMark,
    "train.json": StepMark,
    "evaluate.json": StepMark,
}


def kind_of(path: Path) -> type[Record]:
    return next(kind for pattern, kind in KINDS.items() if path.match(pattern))


FILES = sorted(OLD.rglob("*.json"))


def refusal(kind: type[Record], path: Path) -> str:
    with pytest.raises(CFTError) as caught:
        kind.read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


# --- read and written ------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(OLD)))
def test_a_record_of_0_1_is_read_and_written_as_it_was(path: Path, tmp_path: Path) -> None:
    record = kind_of(path).read(path)
    record.write(tmp_path / "again.json")
    written = (tmp_path / "again.json").read_text(encoding="utf-8")
    assert json.loads(written) == json.loads(path.read_text(encoding="utf-8"))
    # 0.1.0 put the keys of a failed step's mark into the order of what happened.
    if getattr(record, "status", None) != "failed":
        assert written == path.read_text(encoding="utf-8")
    assert kind_of(path).read(tmp_path / "again.json") == record


def test_every_kind_of_record_of_0_1_is_among_them() -> None:
    assert {kind_of(path) for path in FILES} == set(KINDS.values())
    marks = [StepMark.read(path) for path in FILES if kind_of(path) is StepMark]
    assert {mark.status for mark in marks} == {"done", "failed", "started"}
    runs = StudyRecord.read(OLD / "study/study.json").runs
    assert Counter(run.status for run in runs) == {"done": 2, "failed": 1, "pending": 1}


counts = st.integers(0, 2**62)
ledgers = st.builds(
    Ledger,
    **{name: counts for name, value in vars(Ledger()).items() if type(value) is int},
    prompt_counts=st.dictionaries(st.text(), counts).map(Counter),
).map(lambda ledger: LedgerRecord(**ledger.to_dict()))
datasets = st.builds(
    PreparedDataset,
    stamp=st.text(),
    path=st.text(),
    part=st.sampled_from(["train", "test"]),
    prompts=st.text(),
    ledger=ledgers,
)
runs = st.builds(
    StudyRun,
    arm=st.text(),
    seed=st.none() | counts,
    stage=st.none() | st.text(),
    status=st.sampled_from(["done", "failed", "pending"]),
    error=st.none() | st.text(),
    train_seconds=st.none() | st.floats(0, allow_infinity=False),
)


@given(
    record=st.one_of(
        st.builds(PreparedLedger, datasets=st.lists(datasets, max_size=3)),
        st.builds(
            TrainingLedger,
            train=ledgers,
            test=st.none() | ledgers,
            reached_trainer=st.builds(ReachedTrainer, rows=counts, rows_lost=counts),
            datasets=st.lists(datasets, max_size=3),
            software=st.lists(st.builds(Software, cuda=st.none() | st.text()), max_size=2),
        ),
        st.builds(StudyRecord, name=st.text(), runs=st.lists(runs, max_size=3)),
        st.builds(
            StepMark,
            status=st.sampled_from(["started", "failed", "done"]),
            sessions=st.lists(st.floats(0, allow_infinity=False)),
            identity=st.text(),
            command=st.lists(st.text()),
        ),
        st.builds(JournalHeader, identity=st.dictionaries(st.text(), st.none() | counts)),
    )
)
def test_what_is_written_is_read_back_the_same(
    record: Record, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "record.json"
    record.write(path)
    assert type(record).read(path) == record


def test_a_ledgers_record_has_the_ledgers_counts() -> None:
    ledger = Ledger(documents=3, prompt_counts=Counter(b=1, a=2), targets_digest=2**127 + 5)
    record = LedgerRecord(**ledger.to_dict())
    assert list(LedgerRecord.model_fields) == list(ledger.to_dict())
    assert dict(record) == ledger.to_dict()
    assert Ledger.from_dict(dict(record)) == ledger


def test_keys_of_later_versions_are_kept_when_a_record_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "1.cft_ledger.json"
    content = json.loads(next((OLD / "prepared").iterdir()).read_text())
    content["note"] = "new"
    content["datasets"][0]["tokenizer"] = content["datasets"][0]["ledger"]["images"] = 3
    path.write_text(json.dumps(content))
    PreparedLedger.read(path).write(path)
    assert json.loads(path.read_text()) == content


# --- refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", dict.fromkeys(KINDS.values()), ids=lambda kind: kind.__name__)
def test_a_newer_schema_is_refused_in_one_sentence(kind: type[Record], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    content = json.loads(next(p for p in FILES if kind_of(p) is kind).read_text())
    known = kind.schema_number
    path.write_text(json.dumps({**content, "schema": known + 1, "status": "a word of tomorrow"}))
    message = refusal(kind, path)
    refused = f"has schema {known + 1}, and this version knows no more than {known}; upgrade"
    assert refused in message
    path.write_text(json.dumps({**content, "schema": "two"}))
    assert "schema is 'two' and no number; " in refusal(kind, path)
    path.write_text(json.dumps({**content, "schema": 0}))
    assert "schema is 0 and no number; " in refusal(kind, path)
    content.pop("schema", None)
    path.write_text(json.dumps(content))
    assert kind.read(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(OLD)))
def test_a_file_that_was_cut_short_is_named(path: Path, tmp_path: Path) -> None:
    torn = tmp_path / path.name
    torn.write_text(path.read_text()[:-20])
    message = refusal(kind_of(path), torn)
    assert "is not valid JSON (cut short?)" in message and message.endswith(kind_of(path).advice)
    torn.unlink()
    assert "No such file" in refusal(kind_of(path), torn)


DAMAGES: list[tuple[str, list[Any], Any, str]] = [
    ("prepared/*", ["datasets", 0, "stamp"], None, "datasets.0.stamp is missing"),
    ("prepared/*", ["datasets", 0, "part"], "dev", "datasets.0.part: input should be 'train'"),
    (
        "prepared/*",
        ["datasets", 0, "ledger", "targets_digest"],
        "e6",
        "datasets.0.ledger.targets_digest: string should match pattern",
    ),
    ("train/*", ["train"], None, "train is missing"),
    ("train/*", ["train", "rows"], "many", "train.rows: input should be a valid integer"),
    ("train/*", ["reached_trainer", "tokens"], [], "reached_trainer.tokens: input should be"),
    ("study/study.json", ["runs"], None, "runs is missing"),
    ("study/study.json", ["runs", 1, "arm"], None, "runs.1.arm is missing"),
    ("study/study.json", ["runs", 1, "status"], "over", "runs.1.status: input should be 'done'"),
    ("study/base/*", ["identity"], None, "identity is missing"),
    ("study/base/*", ["sessions"], [1, "x"], "sessions.1: input should be a valid number"),
    ("generate/*", ["answers", "accepted"], None, "answers.accepted is missing"),
    ("contamination/*", ["tasks"], None, "tasks is missing"),
    ("contamination/*", ["examples", 0, "task"], 5, "examples.0.task: input should be a valid"),
]


@pytest.mark.parametrize(("pattern", "place", "value", "words"), DAMAGES)
def test_a_damaged_record_is_named_with_its_field_and_the_mend(
    pattern: str, place: list[Any], value: Any, words: str, tmp_path: Path
) -> None:
    source = next(OLD.glob(pattern))
    content = node = json.loads(source.read_text())
    for key in place[:-1]:
        node = node[key]
    if value is None:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    path = tmp_path / source.name
    path.write_text(json.dumps(content))
    message = refusal(kind_of(source), path)
    assert f" is not {kind_of(source).kind}: {words}" in message
    assert message.endswith(f"; {kind_of(source).advice}")


def continue_from(journal: Path) -> None:
    """As the next run of a folder does."""
    with closing(Answers(journal.parent / "answers.sqlite")) as answers:
        take_over(journal.parent, answers, {}, lambda entries: [])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"journal": 2, "answers": []}, "has journal 2, and this version knows no more than 1; up"),
        ({"journal": 1}, "is not the first line of a journal: identity is missing; use another"),
        ({"journal": 1, "identity": "m"}, "identity: input should be a valid dictionary, got 'm'"),
    ],
)
def test_a_journal_with_an_unfit_first_line_is_refused(
    header: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps(header) + "\n")
    with pytest.raises(CFTError, match=re.escape(words)) as caught:
        continue_from(path)
    assert f"{path}, line 1, " in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["[]"], 1),
        (['{"journal": 1, "iden'], 1),
        (['{"journal": 1, "identity": {}}', '{"key": "a"}', '{"answer": "b"}'], 3),
        (['{"journal": 1, "identity": {}}', '{"key": "a"}', "nonsense", '{"key": "b"}'], 3),
    ],
)
def test_a_damaged_journal_is_refused_with_the_line(
    lines: list[str], number: int, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join(lines) + "\n")
    for _ in range(2):  # a refusal leaves no lock behind
        with pytest.raises(CFTError, match=f"damaged in line {number} and cannot be continued"):
            continue_from(path)


# --- what 0.1.0 left goes on -----------------------------------------------------------------


def test_the_readers_see_what_0_1_wrote() -> None:
    plan = plan_study(OLD / "study", None)
    assert (plan.title, plan.baseline) == ("half-done", "base")
    assert [source.name for source in plan.sources] == ["base", "plain"]
    assert [training.label for training in plan.trainings] == ["plain, seed 1"]
    assert len(plan.notes) == 2 and "no such learning rate" in plan.notes[0]
    cost = read_cost(OLD / "train")
    assert (cost.documents, cost.tokens, cost.trained_tokens) == (20, 2139, 1331)
    assert (cost.prompt_share, cost.targets_digest) == (
        0.406695,
        "e693eb218103ee3fe2747280d2d5c93e",
    )
    ledger = TrainingLedger.read(OLD / "train/cft_ledger.json")
    stamps = [entry.stamp for entry in ledger.datasets if entry.part == "train"]
    assert (
        outcome.prepared_targets(OLD / "prepared", stamps)["targets_digest"] == cost.targets_digest
    )


STAND_INS = """
import json, sys
from pathlib import Path
import yaml

what, *rest = sys.argv[1:]
if what == "train":
    out = Path(yaml.safe_load(Path(rest[0]).read_text())["output_dir"])
    out.mkdir(parents=True)
    (out / "model.safetensors").touch()
    (out / "trainer_state.json").write_text('{"global_step": 1, "max_steps": 1}')
if what == "evaluate":
    out = Path(rest[rest.index("--output_path") + 1])
    out.mkdir(parents=True)
    results = {"results": {"arc_easy": {"acc,none": 0.5}}, "configs": {"arc_easy": {}}}
    (out / "results_1.json").write_text(json.dumps(results))
    sample = {"doc_id": 0, "filtered_resps": [["-1.0", "False"]]}
    (out / "samples_arc_easy_1.jsonl").write_text(json.dumps(sample))
"""
"""Programs that leave at once what the host and the harness leave in the end."""


class Silent:
    def begin(self, step: Any, log: Path) -> None:
        pass

    def end(self, step: Any, how: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


@pytest.mark.slow
def test_a_half_finished_study_of_0_1_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(OLD / "study", root)
    (tmp_path / "stand_ins.py").write_text(STAND_INS)
    study = yaml.safe_load((OLD / "study/study.yml").read_text())
    program = f"{sys.executable} {tmp_path / 'stand_ins.py'}"
    study["launch"] = {
        "prepare": f"{program} prepare {{config}}",
        "train": f"{program} train {{config}}",
        "evaluate": f"{program} evaluate",
    }
    path = tmp_path / "study.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    spec = read_study(path)
    plan = expand(spec, path, root)
    runner = Runner(plan, plan.steps, allow_targets=False, progress=Silent())
    runner.run(0)
    assert runner.failures == {}
    events = [json.loads(line) for line in (root / "executions.jsonl").read_text().splitlines()]
    # What was done is not done anew; the step that failed and the one that was killed are. CFT data
    # are told apart by content since 0.1, so they are prepared once more.
    assert [event["step"] for event in events if event["event"] == "started"] == [
        "fast/seed1 prepare",
        "cft/seed1 prepare",
        "fast/seed1 train",
        "fast/seed1 evaluate",
        "cft/seed1 train",
        "cft/seed1 evaluate",
    ]
    record = StudyRecord.read(root / "study.json")
    assert [run.arm for run in record.runs] == ["base", "plain", "fast", "cft"]
    assert {run.status for run in record.runs} == {"done"}
    before = StudyRecord.read(OLD / "study/study.json")
    assert record.runs[:2] == before.runs[:2]


def test_a_half_finished_generation_of_0_1_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(OLD / "generate_half", out)
    corpus = out.joinpath("corpus.jsonl").rename(tmp_path / "corpus.jsonl")
    with out.joinpath("journal.jsonl").open("a") as journal:
        journal.write('{"key": "prompt:74330d')  # cut short by a kill
    arguments = ["generate", corpus, "--model", "m", "--output-dir", out, "--drop-rejects"]
    with serve(Loopback()) as server:
        arguments += ["--base-url", server.url]
        done = CliRunner().invoke(main, list(map(str, arguments)), env={"OPENAI_API_KEY": ""})
    assert done.exit_code == 0, done.output
    texts = [f"Text number {number} tells of cells and their order." for number in (4, 5)]
    assert server.asked == Counter(texts)
    ledger, expected = (
        GenerationLedger.read(folder / "generation.json") for folder in (out, OLD / "generate")
    )
    rows = map(json.loads, (out / "corpus.jsonl").read_text().splitlines())
    as_before = [{k: v for k, v in r.items() if k != "contextual_prompt_shown"} for r in rows]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in as_before)
    assert hashlib.sha256(lines.encode()).hexdigest() == expected.sha256
    assert (ledger.answers.accepted, ledger.answers.rejected) == (5, 1)
    assert ledger.answers.tokens_in == expected.answers.tokens_in
    assert not (out / "journal.jsonl").exists() and (out / TAKEN_OVER).exists()


def test_a_look_at_the_first_rows_leaves_the_answers_of_the_others_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(OLD / "generate_half", out)
    corpus = out.joinpath("corpus.jsonl").rename(tmp_path / "corpus.jsonl")
    with serve(Loopback()) as server:
        base = ["generate", corpus, "--model", "m", "--output-dir", out, "--drop-rejects"]
        base += ["--base-url", server.url]
        for more in (["--limit", 1], []):
            command = list(map(str, [*base, *more]))
            done = CliRunner().invoke(main, command, env={"OPENAI_API_KEY": ""})
            assert done.exit_code == 0, done.output
    assert sum(server.asked.values()) == 2 and (out / TAKEN_OVER).exists()


def test_a_generation_of_0_1_that_was_asked_otherwise_is_not_taken_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(OLD / "generate_half", out)
    corpus = out.joinpath("corpus.jsonl").rename(tmp_path / "corpus.jsonl")
    before = out.joinpath("journal.jsonl").read_bytes()
    arguments = ["generate", corpus, "--model", "n", "--output-dir", out, "--prompt-budget", 90]
    arguments += ["--base-url", "http://127.0.0.1:1/v1"]
    refused = CliRunner().invoke(main, list(map(str, arguments)), env={"OPENAI_API_KEY": ""})
    assert refused.exit_code == 1
    said = " ".join(refused.output.split())
    assert 'model (then "m", now "n")' in said and "prompt_budget (then 128, now 90)" in said
    assert "input" not in said and "seed" not in said
    assert out.joinpath("journal.jsonl").read_bytes() == before


HOLDER = """
import sys, time
from pathlib import Path
from axolotl_cft.generation.answers import Answer, Answers

answers = Answers(Path(sys.argv[1]))
answers.store([Answer("a", "An answer.")])
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_answers_have_one_writer_and_are_free_once_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "answers.sqlite"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(CFTError, match=f"{path} is in use by another run; wait for it"):
            Answers(path)
        os.kill(holder.pid, signal.SIGKILL)
    with closing(Answers(path)) as answers:
        assert list(answers.read(["a", "b"])) == ["a"]
