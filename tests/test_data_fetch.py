"""`axolotl-cft data fetch`, with the hub's loader replaced by small local datasets."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import CliRunner

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.evaluation.tasks import catalogue, fetch, task_benchmarks

ROWS = {
    "cais/mmlu": {"question": "Why? Ω", "subject": "s", "choices": ["a", "b"], "answer": 1},
    "GBaker/MedQA-USMLE-4-options-hf": {
        "id": "1",
        "sent1": "Q",
        "sent2": "",
        **{f"ending{number}": "x" for number in range(4)},
        "label": 2,
    },
}
FINANCIAL = {"id": "1", "query": "q", "answer": "a", "text": "t", "choices": ["a"], "gold": 0}


class Hub:
    """Stands in for `datasets.load_dataset`: the published row counts, or those given."""

    def __init__(self, rows: int | None = None, fail_after: int | None = None) -> None:
        self.rows, self.fail_after = rows, fail_after
        self.asked: list[tuple[str, str | None, str]] = []
        self.tokens: set[str | None] = set()

    def __call__(self, path: str, config: str | None, *, split: str, token: str | None) -> Any:
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise ConnectionError("cable pulled")
        self.asked.append((path, config, split))
        self.tokens.add(token)
        spec = next(
            s for s in catalogue().BENCHMARKS.values() if (s.hub, s.config) == (path, config)
        )
        count = self.rows if self.rows is not None else spec.splits[split] or 7
        return datasets.Dataset.from_list([ROWS.get(path, FINANCIAL)] * count)


def splits_of(*tasks: str) -> int:
    benchmarks = set(task_benchmarks(tasks).values())
    return sum(len(catalogue().BENCHMARKS[name].splits) for name in benchmarks)


def test_fetched_folder_serves_the_tasks(tmp_path: Path) -> None:
    hub = Hub()
    paths = fetch(tmp_path, ["cft_medical", "cft_financial"], token="t", load_dataset=hub)
    assert len(paths) == len(hub.asked) == splits_of("cft_medical", "cft_financial") == 20
    assert hub.tokens == {"t"}
    assert ("cais/mmlu", "anatomy", "dev") in hub.asked
    for name, spec in catalogue().BENCHMARKS.items():
        rows = catalogue().load(name, cft_data_dir=str(tmp_path))
        for split, count in spec.splits.items():
            assert len(rows[split]) == (count or 7)
    row = json.loads((tmp_path / "mmlu/anatomy/test.jsonl").read_text().splitlines()[0])
    assert row == ROWS["cais/mmlu"]


def test_interrupted_fetch_carries_on(tmp_path: Path) -> None:
    with pytest.raises(CFTError, match="cable pulled"):
        fetch(tmp_path, ["cft_medical"], load_dataset=Hub(fail_after=5))
    done = sorted(tmp_path.rglob("*.jsonl"))
    assert len(done) == 5 and not list(tmp_path.rglob("*.tmp"))
    done[0].write_text("{}\n")  # not what is published: fetched again
    states: list[str] = []
    again = Hub()
    fetch(
        tmp_path,
        ["cft_medical"],
        load_dataset=again,
        on_split=lambda benchmark, split, state: states.append(state),
    )
    assert len(again.asked) == splits_of("cft_medical") - 4
    assert states.count("kept") == 4 and states.count("written") == len(again.asked)
    assert states.count("loading") == len(again.asked)


def test_wrong_row_count_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CFTError, match=r"'test' has 3 rows where 546 are published"):
        fetch(tmp_path, ["cft_multifin"], load_dataset=Hub(rows=3))
    assert not list(tmp_path.rglob("*"))


def test_missing_column_is_named(tmp_path: Path) -> None:
    def load(*args: Any, **kwargs: Any) -> Any:
        return datasets.Dataset.from_list([{"text": "t"}])

    with pytest.raises(CFTError, match=r"lacks column 'query'.*it has text"):
        fetch(tmp_path, ["cft_fiqa"], load_dataset=load)


def test_command_names_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise datasets.exceptions.DatasetNotFoundError("gated dataset")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    result = CliRunner().invoke(main, ["data", "fetch", str(tmp_path), "--tasks", "cft_fiqa"])
    assert result.exit_code == 1
    assert "https://huggingface.co/datasets/TheFinAI/en-fiqasa" in result.output
    assert "HF_TOKEN" in result.output and "Traceback" not in result.output


def test_command_downloads_and_says_what_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub()
    monkeypatch.setattr(datasets, "load_dataset", hub)
    command = ["data", "fetch", str(tmp_path), "--tasks", "cft_multifin,cft_medqa"]
    result = CliRunner().invoke(main, [*command, "--token", "secret"])
    assert result.exit_code == 0, result.output
    assert "4 splits" in result.output and "CFT_DATA_DIR=" in result.output
    assert hub.tokens == {"secret"} and "secret" not in result.output


def test_unknown_task_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "fetch", str(tmp_path), "--tasks", "cft_finqa"])
    assert result.exit_code == 1
    assert "unknown task 'cft_finqa'" in result.output and "cft_fiqa" in result.output
