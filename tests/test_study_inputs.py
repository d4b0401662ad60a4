"""What a study needs is looked at before it trains, and all that is missing is told at once."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from host import host_config
from studies import FAKE

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.study import inputs
from axolotl_cft.study.inputs import Looked, look_at_inputs
from axolotl_cft.study.plan import expand
from axolotl_cft.study.preflight import refuse
from axolotl_cft.study.spec import read_study

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, tiny_model: Path) -> Make:
    """Write a sound study of two stages; keyword arguments replace its blocks."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(40))
    answers = write_jsonl(tmp_path / "answers.jsonl", [{"text": "An answer."}] * 3)
    base = host_config(tmp_path, tiny_model, corpus)

    def write(ift: dict[str, Any] | None = None, **changes: Any) -> Path:
        study = {
            "name": "small",
            "base": base,
            "arms": {"base": {"train": False}, "cpt": {"cft.prompts": "none"}, "cft": {}},
            "stages": {
                "pretrain": None,
                "ift": {"overrides": {"datasets.0.path": str(answers), **(ift or {})}},
            },
            "tasks": ["cft_fiqa"],
            "launch": FAKE,
            **changes,
        }
        path = tmp_path / "study.yml"
        path.write_text(yaml.safe_dump(study, sort_keys=False))
        return path

    return write


def looked(path: Path, made: tuple[Path, ...] = (), gpus: int | None = 0) -> Looked:
    study = read_study(path)
    plan = expand(study, path, path.parent / "out")
    return look_at_inputs(study, plan, plan.steps, made, gpus)


def faults(path: Path, *made: Path) -> list[str]:
    return looked(path, made).sentences()


def test_a_sound_study_has_no_faults(make: Make) -> None:
    found = looked(make())
    assert found.sentences() == found.remarks == []


def test_all_that_is_missing_is_told_at_once_with_arm_stage_and_key(make: Make) -> None:
    study = make(
        ift={"datasets.0.path": "data/ift.jsonl"},
        arms={
            "base": {"train": False, "base_model": "./cft-demo/model"},
            "cpt": {"cft.prompts": "none"},
            "cft": {"cft.prompts": {"column": "prompt"}, "cft.holdout_by": "journal"},
            "body": {"datasets.0.field": "body"},
            "model": {"base_model": "../no/such/model"},
        },
        lm_eval={"metadata": {"cft_data_dir": "no-such-folder"}},
    )
    said = faults(study)
    for pattern in (
        r"^arm cpt, stage ift: datasets\[0\]\.path \(and 3 more places\): there is no data/ift",
        r"^arm base: base_model: there is no \./cft-demo/model here; run `axolotl-cft demo --prep",
        r"^arm cft, stage pretrain: datasets\[0\]\.cft\.prompts: .*no column 'prompt'",
        r"^arm body, stage pretrain: datasets\[0\]\.field: .* has no column 'body'; name one of ",
        r"^arm model, stage pretrain: base_model: there is no \.\./no/such/model here",
        r"^arm base: lm_eval\.metadata\.cft_data_dir \(and \d more places\): there is no no-such-f",
    ):
        assert sum(bool(re.match(pattern, sentence)) for sentence in said) == 1, (pattern, said)
    assert len(said) == 6
    with pytest.raises(CFTError, match=r"study\.yml: 6 things would stop it:\n  arm"):
        refuse(study, said)


@pytest.mark.slow
def test_nothing_is_trained_and_the_commands_are_printed_all_the_same(
    make: Make, tmp_path: Path
) -> None:
    study = make(ift={"datasets.0.path": "./ift.jsonl"})
    for words in (["--dry-run"], []):
        result = CliRunner().invoke(
            main, ["study", str(study), "--output-dir", str(tmp_path / "out"), *words]
        )
        assert result.exit_code == 1
        said = "arm cpt, stage ift: datasets[0].path (and 1 more place): there is no ./ift.jsonl"
        assert f"Error: {study}: {said}" in result.output
        assert ("# cft/seed42/ift train" in result.output) == bool(words)
        assert not list((tmp_path / "out").rglob("*.log"))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet", "folder"])
def test_only_the_first_rows_are_read(
    make: Make, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.Table.from_pylist([{"text": f"Document {n}.", "n": n} for n in range(5000)])
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".jsonl":
        write_jsonl(path, table.to_pylist())
    else:
        path.mkdir()
        pq.write_table(table, path / "part.parquet")
    read: list[Any] = []
    real = inputs.islice
    monkeypatch.setattr(inputs, "islice", lambda rows, n: read.append(n) or real(rows, n))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    study = make(arms={"cft": {"datasets.0.path": str(path), "datasets.0.shards": 5}})
    assert faults(study) == []
    assert set(read) == {10}
    assert not list(tmp_path.rglob("cache/**/*.arrow"))  # nothing was converted as a whole
    study = make(arms={"cft": {"datasets.0.path": str(path), "datasets.0.field": "body"}})
    (said,) = faults(study)
    assert said.endswith("has no column 'body'; name one of n, text")


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "rows.jsonl"), ('{"text": \n', "rows.jsonl cannot be read"), (None, "there is no ")],
    ids=["empty", "damaged", "absent"],
)
def test_files_that_cannot_be_used_are_told(
    make: Make, tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    (found,) = faults(make(arms={"cft": {"datasets.0.path": str(path)}}))
    assert "arm cft, stage pretrain: datasets[0].path" in found and said in found
    assert "Repo id" not in found and "\n" not in found


def test_what_make_will_bring_is_left_out_and_said(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "made-by-study"
    arm = {"datasets.0.path": str(folder / "corpus.parquet"), "base_model": str(folder / "model")}
    study = make(arms={"cft": arm})
    found = looked(study, (folder,))
    assert found.sentences() == []
    assert found.remarks == [
        f"{folder}/{name} is not looked at: `make` will bring it"
        for name in ("corpus.parquet", "model")
    ]
    assert len(faults(study)) == 2  # where nothing brings it


def test_a_missing_file_is_told_before_make_costs_anything(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    study = make(
        ift={"datasets.0.path": "./ift.jsonl"},
        make=[f"corpus pack {tmp_path}/corpus.jsonl --output-dir {folder}"],
    )
    result = CliRunner().invoke(main, ["study", str(study), "--output-dir", str(tmp_path / "out")])
    assert result.exit_code == 1 and "there is no ./ift.jsonl" in result.output
    assert not folder.exists()


def test_what_is_done_needs_its_inputs_no_more(make: Make, tmp_path: Path) -> None:
    path = make()
    study = read_study(path)
    plan = expand(study, path, tmp_path / "out")
    (tmp_path / "answers.jsonl").unlink()
    assert look_at_inputs(study, plan, plan.steps, (), 0).sentences()
    left = [step for step in plan.steps if step.run.stage != "ift" or step.kind != "train"]
    assert look_at_inputs(study, plan, left, (), 0).sentences() == []


def test_a_model_without_a_tokenizer_is_told(make: Make, tmp_path: Path, tiny_model: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(tiny_model / "config.json", bare)
    (said,) = faults(make(arms={"cft": {"base_model": str(bare)}}))
    assert said.startswith("arm cft, stage pretrain: base_model: the tokenizer of ")
    own = {"base_model": str(bare), "tokenizer_config": str(tiny_model)}
    assert faults(make(arms={"cft": own})) == []


def test_test_items_are_looked_for(make: Make, tmp_path: Path) -> None:
    metadata = {"metadata": {"cft_data_dir": str(tmp_path / "items")}}
    (tmp_path / "items").mkdir()
    (said,) = faults(make(lm_eval=metadata))
    assert "lacks the test items of fiqa" in said
    (tmp_path / "items/fiqa").mkdir()
    (tmp_path / "items/fiqa/test.jsonl").write_text(json.dumps({"text": "x"}))
    assert faults(make(lm_eval=metadata)) == []


def test_a_full_disk_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(inputs.shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    (said,) = faults(make())
    assert re.search(r": 4 trainings leave about \d+ GB of weights .* roughly, and 0 GB are", said)


def test_gpus_elsewhere_are_not_counted_here(make: Make) -> None:
    launch = {**FAKE, "train": "torchrun --nproc_per_node 8 -m axolotl.cli.train {config}"}
    study = make(launch=launch)
    assert "asks for 8" in looked(study, gpus=4).sentences()[0]
    assert looked(study, gpus=8).sentences() == looked(study, gpus=None).sentences() == []
    on_cpu = looked(study, gpus=0)
    assert on_cpu.sentences() == []
    assert on_cpu.remarks == ["launch.train asks for 8 processes, and no GPU is seen here"]
    launch["train"] = f"srun --gpus=8 {launch['train']}"
    assert looked(make(launch=launch), gpus=4).sentences() == []


def test_of_nine_arms_with_the_same_data_each_file_is_read_once(make: Make) -> None:
    arms = {f"arm{number}": {"learning_rate": number * 1e-5} for number in range(1, 10)}
    study = make(arms=arms, seeds=[1, 2, 3])
    counted: list[str] = []
    real = inputs.columns_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            inputs, "columns_of", lambda d, *more: counted.append(d["path"]) or real(d, *more)
        )
        assert faults(study) == []
    assert len(counted) == 2
