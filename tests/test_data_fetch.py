"""`axolotl-cft data fetch`, with the hub's loader replaced by small local datasets."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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

    def __call__(self, path: str, config: str | None, *, split: str) -> Any:
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise ConnectionError("cable pulled")
        self.asked.append((path, config, split))
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
    paths = fetch(tmp_path, ["cft_medical", "cft_financial"], load_dataset=hub)
    assert len(paths) == len(hub.asked) == splits_of("cft_medical", "cft_financial") == 20
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
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "4 splits" in result.output and "CFT_DATA_DIR=" in result.output


def test_a_token_has_no_place_on_the_command_line(tmp_path: Path) -> None:
    command = ["data", "fetch", str(tmp_path), "--tasks", "cft_medqa"]
    result = CliRunner().invoke(main, [*command, "--token", "secret"])
    assert result.exit_code == 2
    assert "No such option" in result.output and "--token" in result.output
    assert "secret" not in result.output


@pytest.fixture
def refusing_hub() -> Iterator[tuple[str, set[str | None]]]:
    """The address of a hub that refuses everything, and the tokens that it was shown."""
    shown: set[str | None] = set()

    class Refusal(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            shown.add(self.headers["Authorization"])
            self.send_response(403)
            if "TheFinAI" in self.path:
                self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", shown
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "task, advice",
    [
        ("cft_fiqa", "gated: ask for access at https://huggingface.co/datasets/TheFinAI/en-fiqasa"),
        ("cft_medqa", "refused, though open to all"),
    ],
)
@pytest.mark.parametrize("token", ["hf_ours", None])
def test_the_hub_is_shown_the_token_of_the_environment_and_a_refusal_says_so(
    tmp_path: Path, refusing_hub: tuple[str, set], task: str, advice: str, token: str | None
) -> None:
    """The libraries look it up by themselves, when they are imported: hence the process."""
    address, shown = refusing_hub
    environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}
    environment = {k: v for k, v in environment.items() if k not in ("HF_TOKEN", "HF_TOKEN_PATH")}
    environment |= {"HF_TOKEN": token} if token else {}
    command = [sys.executable, "-m", "axolotl_cft.cli", "data", "fetch", str(tmp_path / "out")]
    ended = subprocess.run(
        [*command, "--tasks", task], env=environment, capture_output=True, text=True
    )
    said = " ".join(ended.stderr.split())
    assert ended.returncode == 1 and "Traceback" not in said, said
    assert advice in said and "HF_TOKEN" in said and "`hf auth login`" in said
    assert shown == {f"Bearer {token}" if token else None}
    assert token is None or token not in ended.stdout + ended.stderr


def test_unknown_task_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["data", "fetch", str(tmp_path), "--tasks", "cft_finqa"])
    assert result.exit_code == 1
    assert "unknown task 'cft_finqa'" in result.output and "cft_fiqa" in result.output
