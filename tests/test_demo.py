"""`axolotl-cft demo`, from nothing to the report."""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from axolotl_cft.cli import main
from axolotl_cft.demo import steps as demo
from axolotl_cft.study.plan import expand
from axolotl_cft.study.spec import read_study


def test_corpus_is_what_the_demo_says():
    lines = (demo.DATA / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert 40 <= len(rows) <= 60
    assert all(row.keys() == {"id", "topic", "text"} for row in rows)
    assert {row["topic"] for row in rows} == {"medical", "financial"}
    assert len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == len(rows)
    assert all(120 <= len(row["text"].split()) <= 300 for row in rows)


def test_prepare_only_makes_what_the_example_config_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo", "--prepare-only"])
    assert result.exit_code == 0, result.output
    assert "accelerate launch -m axolotl.cli.train cft-demo/cft.yml" in result.output
    config = demo.base_config()
    assert (Path(config["base_model"]) / "model.safetensors").is_file()
    for key in ("datasets", "test_datasets"):
        assert Path(config[key][0]["path"]).is_file()


def test_arms_differ_in_prompts_and_output_only(tmp_path):
    paths = [demo._write_config(tmp_path, arm) for arm in demo.ARMS]
    cpt, cft = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths)
    assert (cpt["cft"].pop("prompts"), cft["cft"].pop("prompts")) == ("none", "paper")
    assert cpt.pop("output_dir") != cft.pop("output_dir")
    assert cpt == cft
    assert demo._WRITTEN_FOR not in json.dumps(cft)


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").write_text("mine")
    result = CliRunner().invoke(main, ["demo", "--output-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert f"--output-dir {tmp_path} holds other files" in result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "precious"]


@pytest.mark.slow
def test_a_failure_shows_the_end_of_its_log(tmp_path, monkeypatch):
    program = "print('\\n'.join(f'line {n}' for n in range(50))); raise SystemExit('the reason')"
    failing = shlex.join([sys.executable, "-c", program, "{config}"])
    monkeypatch.setitem(demo.LAUNCH, "prepare", failing)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "exited with status 1: the reason" in result.output
    assert "| line 49" in result.output and "| line 10\n" not in result.output
    assert "cft-demo/cpt/seed42/prepare.log" in result.output


def test_the_study_is_of_both_arms_and_reads_the_demos_own_items(tmp_path):
    demo._write_config(tmp_path, "cft")
    demo._write_study(tmp_path)
    path = tmp_path / demo.STUDY
    plan = expand(read_study(path), path, tmp_path)
    configs = {step.run.arm: step.config for step in plan.steps if step.kind == "train"}
    assert (plan.untouched, plan.baseline, plan.general) == ("base", "cpt", ("cft_general_text",))
    assert {arm: config["cft"]["prompts"] for arm, config in configs.items()} == demo.ARMS
    [*_, evaluation] = plan.steps
    assert f'{{"cft_data_dir": "{tmp_path}/benchmarks"}}' in evaluation.command


def test_the_environment_is_as_before_after_the_demo(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    before = dict(os.environ)
    with demo.by_itself():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and os.environ["HF_HUB_OFFLINE"] == "1"
    assert dict(os.environ) == before


@pytest.mark.slow
def test_demo_trains_evaluates_and_reports(tmp_path):
    folder = tmp_path / "demo"
    result = CliRunner().invoke(main, ["demo", "--output-dir", str(folder)])
    assert result.exit_code == 0, result.output

    cpt, cft = (demo.read_arm(folder, arm) for arm in demo.ARMS)
    assert cpt.loss_before == pytest.approx(cft.loss_before)  # one model, no prompts
    for arm in (cpt, cft):
        assert arm.loss_after < arm.loss_before - 0.3
        assert arm.test.prompt_tokens == 0
    assert cpt.train.targets_digest == cft.train.targets_digest
    assert cpt.train.prompt_tokens == 0 < cft.train.prompt_tokens

    cells = {}
    for line in result.output.splitlines():
        if match := re.fullmatch(r"│ (.+?) +│ +(\S+) │ +(\S+) │", line.strip()):
            cells[match[1]] = match.groups()[1:]
    assert cells["prompts"] == ("none", "paper")
    assert cells["validation loss after"] == (f"{cpt.loss_after:.3f}", f"{cft.loss_after:.3f}")
    assert len(set(cells["targets digest"])) == 1
    assert cells["trained tokens"] == (f"{cpt.train.trained_tokens:,}",) * 2
    assert cells["prompt tokens"] == ("0", f"{cft.train.prompt_tokens:,}")
    assert "Equal digests" in result.output
    assert "masked" in result.output  # the preview
    assert "axolotl-cft preview my.yml" in result.output  # what to do next

    assert (folder / "report" / "report.md").is_file()
    _, answer, *_ = (folder / "report" / "report.md").read_text(encoding="utf-8").split("\n## ")
    for rows in ("cft against cpt", "cpt against base, the", "cft against base, the"):
        assert f"**General ability, {rows}" in answer
    assert list((folder / "report").glob("*.png"))
    assert str(folder / "report" / "report.md") in result.output.replace("\n", "")
