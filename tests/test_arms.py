"""The arm that was asked for is the arm that trains: the variable, the documented commands, Ray."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_documents, write_jsonl
from datasets import load_from_disk
from host import fit, host_config, load_cfg, write_config

from axolotl_cft.cli import main
from axolotl_cft.core.options import PROMPTS_VARIABLE
from axolotl_cft.host.preparing import PLANS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(16))
    return host_config(tmp_path, tiny_model, corpus)


def prepared_prompts(folder: Path) -> set[str]:
    """The prompts of every dataset that was prepared in a folder."""
    ledgers = [json.loads(path.read_text()) for path in folder.glob("*.cft_ledger.json")]
    return {entry["prompts"] for ledger in ledgers for entry in ledger["datasets"]}


def test_the_variable_is_logged_and_enters_the_stamp_and_the_config(config, caplog, monkeypatch):
    written = load_cfg({**config, "cft": {**config["cft"], "prompts": "none"}})
    monkeypatch.setenv(PROMPTS_VARIABLE, "none")
    with caplog.at_level("INFO"):
        cfg = load_cfg(config)
    assert cfg.cft.prompts == "none"
    assert cfg.datasets[0].conversation == written.datasets[0].conversation
    line = f"cft: {PROMPTS_VARIABLE} sets cft.prompts: none (the config says paper)"
    assert caplog.messages.count(line) == 1


def test_preview_honors_the_variable(config, tmp_path, monkeypatch):
    monkeypatch.setenv(PROMPTS_VARIABLE, "none")
    path = write_config(tmp_path / "cft.yml", config)
    shown = CliRunner().invoke(main, ["preview", str(path), "-n", "1"])
    assert shown.exit_code == 0 and "prompt: none" in shown.output


def test_a_study_does_not_start_while_the_variable_is_set(tmp_path, monkeypatch):
    monkeypatch.setenv(PROMPTS_VARIABLE, "none")
    ended = CliRunner().invoke(main, ["study", str(ROOT / "example_configs" / "study_demo.yml")])
    assert ended.exit_code == 1
    assert "AXOLOTL_CFT_PROMPTS=none would give every arm of the study the same" in ended.output


def test_the_demo_trains_both_arms_whatever_the_variable_says(monkeypatch):
    from axolotl_cft.demo.steps import by_itself

    monkeypatch.setenv(PROMPTS_VARIABLE, "none")
    with by_itself():
        assert PROMPTS_VARIABLE not in os.environ
    assert os.environ[PROMPTS_VARIABLE] == "none"


def documented_commands() -> dict[str, str]:
    """Every shell block of the documentation that switches arms, by what it does."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]
    switching = [
        block for block in blocks if re.search(rf"{PROMPTS_VARIABLE}=|--cft|prompts: ", block)
    ]
    return {re.sub(r"\bout/\w+", "out/ARM", block): block for block in switching}


@pytest.mark.slow
@pytest.mark.parametrize("command", documented_commands().values())
def test_documented_commands_switch_the_arm(command, config, tmp_path):
    """Data are prepared and not trained on; what is started is the same program otherwise."""
    command = command.replace("axolotl train", "axolotl preprocess")
    command = command.replace(
        "accelerate launch -m axolotl.cli.train", "python -m axolotl.cli.preprocess"
    )
    config |= {"output_dir": "out/cft", "dataset_prepared_path": "prepared"}
    write_config(tmp_path / "cft.yml", config)
    environment = {
        **os.environ,
        "AXOLOTL_DATASET_NUM_PROC": "0",  # none beside its own for 16 documents
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert prepared_prompts(tmp_path / "prepared") == {"none"}


def test_the_documentation_shows_each_way():
    commands = " ".join(documented_commands())
    for way in (f"{PROMPTS_VARIABLE}=none axolotl train", "--cft__prompts none", "cft.yml > "):
        assert way in commands
    assert "--cft." not in commands


@pytest.fixture
def mixed(config, tmp_path):
    """Two training sets, one without prompts by its own word, and held-out documents."""
    plain = config["datasets"][0]
    other = write_jsonl(tmp_path / "other.jsonl", make_documents(21)[16:])
    return {
        **config,
        "cft": {**config["cft"], "holdout": 0.2},
        "datasets": [plain, {**plain, "path": str(other), "cft": {"prompts": "none"}}],
        "test_datasets": [{**plain, "cft": {"prompts": "fixed"}}],
        "save_strategy": "steps",
        "save_steps": 2,
    }


def trained(config) -> tuple[dict, list, list]:
    """Ledger, losses and prepared rows that a training left."""
    output = Path(config["output_dir"])
    ledger = json.loads((output / "cft_ledger.json").read_text())
    state = json.loads((output / "checkpoint-2" / "trainer_state.json").read_text())
    seen = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    folders = [path for path in Path(config["dataset_prepared_path"]).iterdir() if path.is_dir()]
    rows = {path.name: load_from_disk(str(path)).to_list() for path in folders}
    return ledger, seen, rows


@pytest.fixture
def as_without_ray(mixed, tmp_path):
    """Trains without Ray; gives a config for Ray and what compares the two."""
    PLANS.clear()
    fit(mixed)
    expected = trained(mixed)
    ray = {
        **mixed,
        "use_ray": True,
        "output_dir": str(tmp_path / "ray" / "out"),
        "dataset_prepared_path": str(tmp_path / "ray" / "prepared"),
    }

    def compare() -> None:
        ledger, seen, rows = trained(ray)
        assert {entry["prompts"] for entry in ledger["datasets"]} == {"paper", "none", "fixed"}
        assert ledger == expected[0]
        assert len(seen) == 2 and seen == pytest.approx(expected[1], abs=1e-6)
        assert rows == expected[2]

    return ray, compare


def ray_arguments(config) -> dict:
    """What the host sends to Ray's workers (axolotl/cli/train.py::do_cli)."""
    from axolotl.cli.args import TrainerCliArgs

    arguments = {"cfg": load_cfg(config).to_dict(), "cli_args": TrainerCliArgs()}
    PLANS.clear()  # a worker is another process
    return arguments


def test_a_worker_of_ray_trains_what_the_driver_planned(as_without_ray):
    from axolotl.cli.train import ray_train_func

    config, compare = as_without_ray
    ray_train_func(ray_arguments(config))
    compare()


@pytest.mark.slow
def test_a_process_of_ray_trains_what_the_driver_planned(as_without_ray, monkeypatch):
    ray = pytest.importorskip("ray", reason="`pip install ray` is needed")
    from axolotl.cli.train import ray_train_func

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    config, compare = as_without_ray
    arguments = ray_arguments(config)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        ray.get(ray.remote(ray_train_func).remote(arguments), timeout=500)
    finally:
        ray.shutdown()
    compare()
