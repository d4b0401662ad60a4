"""The commands of the documentation are carried out as they are written there, page by page.

What they name lies where they look for it: small data, and a tiny Llama under the names of models,
those of the hub too. tests/documented_commands.yaml says which commands these are.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from conftest import write_jsonl
from corpus_twin import build
from documented import ROOT, documented, inventory
from host import host_config, write_config
from loopback_llm import Loopback, serve
from test_batch import play
from test_generate_conversations import chat_config, exchange
from test_report import Skill, evaluate, write_benchmarks

from axolotl_cft.cli import main
from axolotl_cft.demo.steps import DATA

pytestmark = pytest.mark.slow

BENCHMARKS = DATA / "benchmarks"

MODELS = (
    *("BASE_MODEL", "MODEL", "Qwen/Qwen3-8B", "gpt-4.1-mini", "out/cft"),
    *("meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-chat-hf"),
    *("AdaptLLM/medicine-chat", "AdaptLLM/finance-chat"),
)
"""What pages call a model; as a folder here, each is the tiny one."""

FEWER = {
    r"http://(localhost|node1|node2):8000/v1": "ENDPOINT",
    r"--num-proc 8": "--num-proc 2",
    r"--things 1200 (.*--mix-into)": r"--things 60 \1",
    r"^(\S+=\S+ )?(lm_eval .*)": r"\1\2 --limit 2",
    r"(axolotl-cft probe .*)": r"\1 --documents 4",
}
"""All that is not as it is written: the endpoint, and how much is done."""


def passages() -> list[dict[str, Any]]:
    """46 short documents, with the columns that a packed corpus has."""
    rows = [json.loads(line) for line in (DATA / "corpus.jsonl").open(encoding="utf-8")]
    return [
        {"doc_id": row["id"], "text": row["text"], "title": row["id"], "url": f"a{n % 3}.example"}
        for n, row in enumerate(rows)
    ]


class Desk:
    """A folder at which somebody types what a page says.

    Attributes:
        model: the tiny model.
        before: what to do before a command, by how it begins: what the page leaves to the reader.
    """

    def __init__(self, model: Path, endpoint: str):
        self.model, self.endpoint = model, endpoint
        self.before: dict[str, Callable[[], None]] = {}
        for name in MODELS:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).symlink_to(model)

    def corpus(self, name: str, rows: list[dict[str, Any]] | None = None) -> Path:
        """The passages as that file or, without a suffix, as a folder of shards."""
        rows = rows or passages()
        path = Path(name)
        if path.suffix == ".jsonl":
            return write_jsonl(path, rows)
        file = path if path.suffix else path / "shard-00000.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), file)
        return path

    def texts(self, name: str) -> None:
        """The passages as a folder of text files."""
        Path(name).mkdir()
        for row in passages():
            Path(name, f"{row['doc_id']}.txt").write_text(row["text"], encoding="utf-8")

    def config(self, name: str, data: Path, **changes: Any) -> None:
        """A config that trains two steps on the data."""
        content = host_config(Path(), self.model, data, sequence_len=384, **changes)
        if not data.suffix:
            content["datasets"][0] |= {"ds_type": "parquet", "split": "train"}
        write_config(Path(name), content)

    def demo(self) -> None:
        """./cft-demo, as `axolotl-cft demo --prepare-only` makes it."""
        self.type(["axolotl-cft", "demo", "--prepare-only"])

    def type_page(self, page: str) -> None:
        """All commands of a page that are to be run, in their order."""
        wanted = set(inventory()["run"][page])
        for command in documented():
            if command.page == page and command.text in wanted:
                for beginning, prepare in self.before.items():
                    if command.text.startswith(beginning):
                        prepare()
                self.type(list(command.words))
                wanted.discard(command.text)
        assert not wanted, f"{page} does not have {wanted}"

    def type(self, words: list[str]) -> str:
        """Carry one command out: ours in this process, which has imported the host already.

        Returns:
            What it printed.
        """
        line = " ".join(word if word == ">" else shlex.quote(word) for word in words)
        for pattern, value in FEWER.items():
            line = re.sub(pattern, value.replace("ENDPOINT", self.endpoint), line)
        if line.startswith("axolotl-cft "):
            result = CliRunner().invoke(main, shlex.split(line)[1:])
            status, output = result.exit_code, result.output
        else:
            done = subprocess.run(["bash", "-ec", line], capture_output=True, text=True)
            status, output = done.returncode, done.stdout + done.stderr
        if status != 0:
            pytest.fail(f"{line}\n… {output[-2000:]}", pytrace=False)
        return output


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("AXOLOTL_DATASET_NUM_PROC", "1")
    monkeypatch.setenv("CFT_DATA_DIR", str(BENCHMARKS))
    with serve(Loopback()) as server:
        for name, value in (("BASE_URL", server.url), ("API_KEY", "none"), ("MODEL", "")):
            monkeypatch.setenv(f"OPENAI_{name}", value)
        yield Desk(tiny_model, server.url)


def yaml_on(page: str, word: str) -> str:
    """The first YAML block of a page in which a word stands."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return next(b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if word in b)


# --- what a reader of each page has ---------------------------------------------------------------


def readme(desk: Desk) -> None:
    desk.texts("papers")
    desk.config("my.yml", Path("data/clean/data"), val_set_size=0.05)
    config = yaml.safe_load(Path("my.yml").read_text())
    config["datasets"][0]["type"] = "completion"
    for key in ("plugins", "cft"):
        del config[key]
    write_config(Path("my.yml"), config)
    desk.before["axolotl-cft preview"] = lambda: shutil.move("my.cft.yml", "my.yml")


def chat(desk: Desk) -> None:
    rows = [{"messages": exchange(number)} for number in range(8)]
    corpus = write_jsonl(Path("chats.jsonl"), rows)
    write_config(Path("cft.yml"), chat_config(Path(), desk.model, corpus))


def study(desk: Desk) -> None:
    desk.demo()
    desk.type(["axolotl-cft", "init", "study_demo", "--output", "study.yml"])


def cluster(desk: Desk) -> None:
    study(desk)
    Path("slurm.yml").write_text(yaml_on("docs/cluster.md", "# slurm.yml"), encoding="utf-8")


def corpora(desk: Desk) -> None:
    build(Path("OpenMedText"), 120, [], huge_bytes=1 << 16)
    desk.demo()


def data(desk: Desk) -> None:
    desk.texts("texts")
    desk.config("config.yml", Path("data/texts/data"))
    desk.corpus("data/corpus.parquet")


def facts(desk: Desk) -> None:
    desk.corpus("data/openmedtext/data", passages() * 200)


def generate(desk: Desk) -> None:
    desk.config("config.yml", desk.corpus("corpus.jsonl"))
    write_jsonl(Path("chats.jsonl"), [{"messages": exchange(number)} for number in range(8)])
    questions = "GBaker/MedQA-USMLE-4-options-hf"
    shutil.copytree(BENCHMARKS, "benchmarks")
    Path(questions).mkdir(parents=True)
    shutil.move("benchmarks/medqa/train.jsonl", f"{questions}/train.jsonl")

    def another_corpus() -> None:
        shutil.rmtree("prompts")

    def answered() -> None:
        write_jsonl(Path("answers.jsonl"), play(Path("requests.jsonl")))

    desk.before = {
        "axolotl-cft generate chats.jsonl": another_corpus,
        "axolotl-cft generate corpus.jsonl --model Qwen/Qwen3-8B --concurrency": another_corpus,
        "axolotl-cft generate corpus.jsonl --config config.yml --model gpt-4.1-mini "
        "--output-dir prompts/ --export-batch": another_corpus,
        "axolotl-cft generate corpus.jsonl --config config.yml --model gpt-4.1-mini "
        "--output-dir prompts/ --import-batch": answered,
        "axolotl-cft report": lambda: evaluated("results/base", "results/cpt", "results/cft"),
    }


def heldout(desk: Desk) -> None:
    cft = {"prompts": "paper", "prompt_budget": 96, "holdout": 0.2}
    desk.config("my-cft.yml", desk.corpus("corpus.jsonl"), cft=cft)


def options(desk: Desk) -> None:
    Path("my.yml").write_text("datasets:\n  - path: a.jsonl\n    type: completion\n")


def pools(desk: Desk) -> None:
    Path("pools").mkdir()
    pool = yaml_on("docs/pools.md", "theory:")
    Path("pools/cardio.yaml").write_text(pool, encoding="utf-8")
    desk.config("config.yml", desk.corpus("corpus.jsonl"))


def probe(desk: Desk) -> None:
    desk.corpus("data/corpus.parquet")


def report(desk: Desk) -> None:
    evaluated("eval/base", "eval/cpt", "eval/cft", "s1/cpt", "s2/cpt", "s1/cft", "s2/cft")


def evaluated(*folders: str) -> None:
    """What lm-eval leaves in these folders."""
    write_benchmarks(Path("items"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFT_DATA_DIR", "items")
        for number, folder in enumerate(folders):
            evaluate(Path(folder), Skill(0.5, number), ["cft_fiqa"])


def rivals(desk: Desk) -> None:
    desk.corpus("data/openmedtext/data")
    desk.corpus("corpus.jsonl")


def scale(desk: Desk) -> None:
    desk.config("my-cft.yml", desk.corpus("corpus.jsonl"))
    desk.corpus("data/trove/data")

    def other_machines() -> None:
        for shard in (2, 3, 4):
            desk.type(["axolotl-cft", "prepare", "my-cft.yml", "--shard", f"{shard}/4"])

    desk.before["axolotl-cft prepare my-cft.yml --merge"] = other_machines


def recipes(desk: Desk) -> None:
    shutil.copytree(ROOT / "example_configs", "example_configs")
    for folder in ("openmedtext", "pmc", "financial_news"):
        desk.corpus(f"data/{folder}/data")
    desk.corpus("data/corpus.jsonl")
    for name in ("openmedtext-shuffled", "financial_news-sites"):
        desk.corpus(f"data/{name}.parquet")
    exercises = [row | {"document": row["doc_id"]} for row in passages()]
    desk.corpus("data/comprehension/corpus.parquet", exercises)
    desk.corpus("data/general.jsonl")
    rows = [{"messages": exchange(number)} for number in range(8)]
    write_jsonl(Path("data/instructions.jsonl"), rows)
    runs = [f"dose/{arm}-512/seed{seed}/eval" for arm in ("cpt", "cft") for seed in (1, 2)]
    desk.before["axolotl-cft report"] = lambda: evaluated(*runs)


def nothing(desk: Desk) -> None:
    pass


PAGES: dict[str, Callable[[Desk], None]] = {
    "README.md": readme,
    "docs/chat.md": chat,
    "docs/cluster.md": cluster,
    "docs/corpora.md": corpora,
    "docs/data.md": data,
    "docs/facts.md": facts,
    "docs/generate.md": generate,
    "docs/heldout.md": heldout,
    "docs/options.md": options,
    "docs/plugins.md": nothing,
    "docs/pools.md": pools,
    "docs/probe.md": probe,
    "docs/report.md": report,
    "docs/rivals.md": rivals,
    "docs/scale.md": scale,
    "docs/study.md": study,
    "eval_tasks/README.md": nothing,
    "tests/example_plugin/README.md": nothing,
}


@pytest.mark.parametrize("page", inventory()["run"])
def test_what_the_page_says_to_type_works(page: str, desk: Desk) -> None:
    PAGES.get(page, recipes)(desk)
    desk.type_page(page)


def test_the_plan_of_the_demos_study_is_as_the_page_shows_it(desk: Desk) -> None:
    page = (ROOT / "docs/corpora.md").read_text(encoding="utf-8")
    session = re.findall(r"```console\n(.*?)```", page, re.DOTALL)[-1].splitlines()
    desk.demo()
    printed = [desk.type(line[2:].split()) for line in session if line.startswith("$ ")][-1]
    shown = {line.rstrip() for line in session if not line.startswith("$ ")}
    assert len(shown) > 5 and shown <= {line.rstrip() for line in printed.splitlines()}


@pytest.mark.parametrize("line", ["axolotl-cft prompts show nowhere", "test -e nowhere"])
def test_a_command_that_fails_is_no_success(line: str, desk: Desk) -> None:
    with pytest.raises(pytest.fail.Exception, match=line):
        desk.type(line.split())


def test_a_page_that_lost_its_command_is_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_documented_runs.documented", lambda: [])
    with pytest.raises(AssertionError, match=r"docs/plugins\.md does not have"):
        desk.type_page("docs/plugins.md")
