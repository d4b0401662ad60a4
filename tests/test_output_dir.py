"""`--output-dir` means the same in every command (docs/good-to-know.md, "Where commands write")."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import make_documents, write_jsonl
from host import host_config
from loopback_llm import Loopback, serve
from studies import FAKE, write_study
from test_data_fetch import Hub
from test_educate import medqa
from test_icl_run import arguments as icl_run
from test_icl_run import write_run
from test_report import Skill, evaluate, write_benchmarks
from test_shared_options import options

from axolotl_cft.cli import main
from axolotl_cft.demo.steps import DATA
from axolotl_cft.evaluation.tasks import fetch

OUTPUT_DIRS = {name.strip(): each for name, each in options() if "--output-dir" in each.opts}
BENCHMARKS = DATA / "benchmarks"

NAMED_ELSEWHERE = {  # in a config, or in CFT_DATA_DIR
    *("corpus pack", "corpus clean", "facts make", "generate", "educate", "heldout"),
}


@dataclass
class Place:
    """Where a command is tried: input files, and the folder that it is to write."""

    folder: Path
    model: Path
    server: str

    @property
    def out(self) -> Path:
        return self.folder / "deep" / "out"

    @property
    def corpus(self) -> Path:
        return write_jsonl(self.folder / "corpus.jsonl", make_documents(20))


Words = Callable[[Place], list[object]]


def asking(place: Place) -> list[object]:
    return ["--model", "m", "--base-url", place.server]


def clean(place: Place) -> list[object]:
    assert run("corpus pack", place.corpus, place.folder / "raw").exit_code == 0
    return [place.folder / "raw", "--off", "min_characters", "--off", "min_words"]


def make(place: Place) -> list[object]:
    recipe = {"sources": [str(place.corpus)], "output_dir": str(place.folder / "elsewhere")}
    recipe["clean"] = {"off": ["min_characters", "min_words"]}
    (place.folder / "recipe.yml").write_text(yaml.safe_dump(recipe))
    return [place.folder / "recipe.yml"]


def heldout(place: Place) -> list[object]:
    config = host_config(place.folder, place.model, place.corpus)
    config["cft"]["holdout"] = 0.5
    (place.folder / "config.yml").write_text(json.dumps(config))
    return [place.folder / "config.yml"]


def fetched(place: Place) -> list[object]:
    fetch(place.out, ["cft_medqa"], load_dataset=Hub())  # so that the hub is not asked
    return ["--tasks", "cft_medqa"]


def report(place: Place) -> list[object]:
    write_benchmarks(place.folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFT_DATA_DIR", str(place.folder / "data"))
        patch.setattr("torch.utils.collect_env.get_pretty_env_info", str)
        names = [place.folder / name for name in ("cpt", "cft")]
        return [evaluate(name, Skill(0.5, 1), ["cft_fiqa"]) and name for name in names]


def study(place: Place) -> list[object]:
    stages = {"stages": {"pretrain": None}, "evaluate": ["pretrain"], "seeds": [1]}
    return [write_study(place.folder, place.model, FAKE, **stages)]


def plot(place: Place) -> list[object]:
    write_run(place.folder, ("cft", "cpt"), seeds=1, dims=2)
    return [place.folder]


FOUND = ["--tasks", "cft_medqa", "--data-dir", BENCHMARKS]
PROBE = ["--documents", 2, "--pools", "fixed", "--shuffles", 1, "--max-tokens", 8]
ICL = icl_run(Path("out"), 1, pretrain_steps=2, finetune_steps=2, seeds=0, methods="cft")[6:]
CASES: dict[str, Words] = {
    "demo": lambda place: ["--prepare-only"],
    "corpus pack": lambda place: [place.corpus],
    "corpus clean": clean,
    "corpus make": make,
    "probe": lambda place: ["--model", place.model, "--data", place.corpus, *PROBE],
    "generate": lambda place: [place.corpus, *asking(place)],
    "educate": lambda place: [
        *(write_jsonl(place.folder / "items.jsonl", medqa(range(4))), *FOUND, *asking(place))
    ],
    "comprehension": lambda place: [place.corpus],
    "contamination": lambda place: [place.corpus, *FOUND],
    "facts make": lambda place: ["--domain", "people", "--things", 30],
    "heldout": heldout,
    "data fetch": fetched,
    "study": study,
    "report": report,
    "icl run": lambda place: ["--preset", "quick", *ICL],
    "icl plot": plot,
}


def run(command: str, *words: object) -> Result:
    """Call a command; the last word is its output folder."""
    *given, out = map(str, words)
    return CliRunner().invoke(main, [*command.split(), *given, "--output-dir", out])


def test_every_command_that_writes_a_folder_is_tried():
    assert set(CASES) == set(OUTPUT_DIRS)


@pytest.mark.parametrize("command", OUTPUT_DIRS)
def test_the_option_is_required_or_its_help_names_a_default(command):
    option = OUTPUT_DIRS[command]
    context = click.Context(click.Command(command))
    said = option.get_help_record(context)[1]
    assert said.startswith("Receives ")
    assert option.required is (command in NAMED_ELSEWHERE) and ("[required" in said) is (
        option.required or command in ("data fetch", "comprehension")
    )
    assert ("[default: " in said) is not ("[required" in said), said
    if option.required:
        with pytest.raises(click.MissingParameter):
            option.handle_parse_result(context, {}, [])


@pytest.mark.parametrize("command", OUTPUT_DIRS)
def test_a_file_is_no_output_folder(tmp_path, command):
    (tmp_path / "file").write_text("mine")
    result = CliRunner().invoke(main, [*command.split(), "--output-dir", str(tmp_path / "file")])
    assert result.exit_code == 2 and "file' is a file" in result.output, result.output


@pytest.fixture(scope="module")
def place_of(tiny_model, tmp_path_factory):
    with serve(Loopback()) as server:
        yield lambda: Place(tmp_path_factory.mktemp("place"), tiny_model, server.url)


@pytest.mark.slow
@pytest.mark.parametrize("command", OUTPUT_DIRS)
def test_a_folder_is_made_and_named_and_what_others_put_there_stays(command, place_of):
    place = place_of()
    words = CASES[command](place)
    first = run(command, *words, place.out)
    assert first.exit_code == 0, first.output
    # A path within the folder, or its own: whoever reads it knows where to look.
    assert str(place.out) in first.stdout
    made = {path for path in place.out.rglob("*") if path.is_file()}
    assert made
    notes = place.out / "notes.txt"
    notes.write_text("mine")
    again = run(command, *words, place.out)
    if again.exit_code:  # a command that may not leave them there refuses
        [sentence] = again.stderr.splitlines()
        assert "notes.txt" in sentence and again.exit_code == 1
    assert notes.read_text() == "mine" and all(path.exists() for path in made)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("generate", "corpus.jsonl"),
        ("generate", "corpus.parquet"),
        ("educate", "corpus.jsonl"),
        ("comprehension", "corpus.jsonl"),
        ("contamination", "items.jsonl"),
        ("corpus pack", "data/notes.txt"),
        ("facts make", "corpus.jsonl"),
        ("demo", "corpus.jsonl"),
    ],
)
def test_a_file_that_others_made_is_not_written_over(command, name, place_of):
    place = place_of()
    words = CASES[command](place)
    mine = place.out / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"text": "mine"}\n')
    result = run(command, *words, place.out)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1, result.output
    assert name.split("/")[0] in result.stderr or "holds other files" in result.stderr
    assert mine.read_text() == '{"text": "mine"}\n'


def test_texts_of_another_corpus_are_not_written_over(tmp_path):
    for name in ("one", "two"):
        write_jsonl(tmp_path / f"{name}.jsonl", make_documents(3))
    out = tmp_path / "out"
    assert run("comprehension", tmp_path / "one.jsonl", out).exit_code == 0
    assert run("comprehension", tmp_path / "one.jsonl", out).exit_code == 0
    result = run("comprehension", tmp_path / "two.jsonl", out)
    assert result.exit_code == 1 and "holds the texts of" in result.stderr


def test_data_are_fetched_into_one_folder(tmp_path):
    fetch(tmp_path, ["cft_medqa"], load_dataset=Hub())
    tasks = ["data", "fetch", "--tasks", "cft_medqa"]
    as_in_0_1 = CliRunner().invoke(main, [*tasks, str(tmp_path)])
    assert as_in_0_1.exit_code == 0 and f"splits in {tmp_path}" in as_in_0_1.stdout
    for words in ([], [str(tmp_path), "--output-dir", str(tmp_path)]):
        result = CliRunner().invoke(main, [*tasks, *words])
        assert result.exit_code == 2 and "name one folder with --output-dir" in result.output
