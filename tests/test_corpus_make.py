"""`corpus make`: recipes become the three commands, and the shipped ones corpora to train on."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import write_jsonl
from corpus_twin import build
from host import prepare
from test_jats import article
from test_pack import bytes_of, manifest_of, packed, prose, tar_of, write_files

from axolotl_cft.cli import main
from axolotl_cft.corpus.building import inputs
from axolotl_cft.host.preparing import descriptions

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "example_configs"
SHIPPED = sorted(RECIPES.glob("corpus_*.yml"))
BENCHMARKS = ROOT / "axolotl_cft" / "demo" / "data" / "benchmarks"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["corpus", *map(str, arguments)])


def make(*arguments: object) -> Result:
    result = run("make", *arguments)
    assert result.exit_code == 0, result.output
    return result


def commands_of(result: Result) -> list[list[str]]:
    lines = result.output.splitlines()
    return [shlex.split(line)[2:] for line in lines if line.startswith("axolotl-cft corpus ")]


# --- Recipes --------------------------------------------------------------------------------------


def test_a_recipe_is_three_commands_that_are_shown_first(tmp_path):
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(
        "sources: [papers, 'books=my books']\n"
        "output_dir: data/all\n"
        "pack: {rules: pmc, licence: [CC-BY-*, CC0-1.0], num-proc: 2}\n"
        "clean:\n"
        "  language: no\n"
        "  off: [min_words, max_top_ngrams]\n"
        "  set: min_characters=10\n"
        "  keep_near: true\n"
        "  keep_doubles: false\n"
    )
    raw, out = "data/all-raw", "data/all"
    shown = commands_of(make(recipe, "--dry-run"))
    papers = ["papers", "books=my books", "--rules", "pmc", "--licence", "CC-BY-*,CC0-1.0"]
    off = ["--off", "min_words", "--off", "max_top_ngrams", "--set", "min_characters=10"]
    assert shown == [
        ["pack", *papers, "--num-proc", "2", "--output-dir", raw],
        ["clean", raw, "--language", "no", *off, "--keep-near", "--output-dir", out],
        ["stats", out],
    ]
    pack, clean, stats = commands_of(
        make(recipe, "--dry-run", "--num-proc", 7, "--output-dir", tmp_path / "x")
    )
    assert pack[-4:] == ["--num-proc", "7", "--output-dir", str(tmp_path / "x-raw")]
    assert clean[-4:] == ["--num-proc", "7", "--output-dir", str(tmp_path / "x")]
    assert stats == ["stats", str(tmp_path / "x")]


def test_the_recipe_of_the_documentation_is_valid(tmp_path):
    page = (ROOT / "docs" / "corpora.md").read_text("utf-8")
    [block] = re.findall(r"```yaml\n(sources:.*?)```", page, re.DOTALL)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(block, encoding="utf-8")
    pack, clean, _ = commands_of(make(recipe, "--dry-run"))
    assert pack[1:3] == ["my-papers", "books=/data/shelf.tar.gz"]
    assert pack[-1] == "data/papers-raw" and clean[-1] == "data/papers"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pack: {licences: x}", "pack.licences is no option of `corpus pack`: did you mean licen"),
        ("clean: {zzz: 1}", "clean.zzz is no option of `corpus clean`: there are data_dir, "),
        ("cleen: {}", "cleen is no key of a recipe: did you mean clean?"),
        ("pack: {output_dir: x}", "pack.output_dir: the recipe's own counts; leave it out"),
        ("pack: {num_proc: 1, num-proc: 2}", "pack.num-proc: it stands there twice"),
        ("pack: {num_proc: many}", "recipe.yml: pack: Invalid value for '--num-proc'"),
        ("pack: {num_proc: [1, 2]}", "pack.num_proc takes one value, not 2"),
        ("pack: {field: }", "pack.field has no value"),
        ("pack: {field: null}", "pack.field has no value"),
        ("pack: {licence: []}", "pack.licence has no value"),
        ("pack: {licence: {a: b}}", "pack.licence is a value or a list of values"),
        ("pack: rules", "pack maps options of `corpus pack` to their values"),
        ("clean: {keep_near: perhaps}", "clean.keep_near is true or false, not perhaps"),
        ("clean: {off: min_word}", "clean: min_word is no filter: it is one of min_words"),
        ("clean: {set: min_words=x}", "clean: min_words=x: write it like"),
        ("clean: {set: min_words=-1}", "clean: filter min_words is -1"),
        ("clean: {language: klingon}", "clean: filter language 'klingon' is not known"),
        ("clean: {tasks: cft_medikal}", "clean: unknown task 'cft_medikal'"),
        ("stats: {seed: x}", "stats: Invalid value for '--seed'"),
        ("pack: {field: a}\npack: {field: b}", "stands on line 3 already"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence_before_anything_is_read(tmp_path, text, said):
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(f"sources: [{tmp_path}]\noutput_dir: {tmp_path}/out\n{text}\n")
    result = run("make", recipe)
    assert result.exit_code == 1 and said in result.output, result.output
    assert str(recipe) in result.output and result.output.count("Error") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yml"]


def test_a_recipe_names_sources_and_a_folder(tmp_path):
    recipe = tmp_path / "recipe.yml"
    for text, said in (
        ("output_dir: x", "sources lists nothing"),
        ("sources: []\noutput_dir: x", "sources lists nothing"),
        ("sources: [{a: b}]\noutput_dir: x", "sources is a value or a list of values"),
        ("sources: [a]", "output_dir is missing"),
        ("sources:\noutput_dir: x", "sources lists nothing"),
        ("sources: [a, null]\noutput_dir: x", "sources lists nothing"),
        ("sources: [a]\noutput_dir: [a]", "output_dir is missing"),
        ("sources: [a]\noutput_dir: ~", "output_dir is missing"),
        ("sources: [a]\noutput_dir: .", "output_dir is .: name a folder in it"),
        ("- a", "expected a mapping"),
    ):
        recipe.write_text(text)
        result = run("make", recipe)
        assert result.exit_code == 1 and said in result.output, result.output
    assert "cannot read" in run("make", tmp_path / "none.yml").output


def test_test_items_that_cannot_be_had_are_missed_before_the_packing(tmp_path):
    tree = write_files(tmp_path / "tree", {"a.txt": prose("a")})
    recipe = tmp_path / "recipe.yml"
    tasks = f"clean: {{tasks: cft_medqa, data_dir: {tmp_path}/nowhere}}"
    recipe.write_text(f"sources: [{tree}]\noutput_dir: {tmp_path}/out\n{tasks}")
    result = run("make", recipe)
    assert result.exit_code == 1 and "nowhere" in result.output, result.output
    assert not (tmp_path / "out-raw").exists()


def test_what_is_made_is_what_the_three_commands_make_and_stays(tmp_path):
    files: dict[str, str | bytes] = {f"{i % 3}/{i}.txt": prose(i, 60) for i in range(40)}
    files["9.txt"] = str(files["0/0.txt"]).upper()
    tree = write_files(tmp_path / "tree", files)
    recipe = tmp_path / "recipe.yml"
    recipe.write_text(f"sources: [{tree}]\noutput_dir: {tmp_path}/made\nclean: {{keep_near: true}}")
    first = make(recipe)
    assert "41 documents" in first.output and "40 of 41 documents" in first.output
    assert run("pack", tree, "--output-dir", tmp_path / "own-raw").exit_code == 0
    own = run("clean", tmp_path / "own-raw", "--keep-near", "--output-dir", tmp_path / "own")
    assert own.exit_code == 0
    assert bytes_of(tmp_path / "made-raw") == bytes_of(tmp_path / "own-raw")
    made = bytes_of(tmp_path / "made")
    assert made.pop("README.md") and made == bytes_of(tmp_path / "own")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    make(recipe)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    # As after a kill: what is whole stays, and the rest is made.
    shutil.rmtree(tmp_path / "made")
    make(recipe)
    again = bytes_of(tmp_path / "made")
    assert again.pop("README.md") and again == bytes_of(tmp_path / "own")


# --- The recipes that come along ------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_make_what_the_configs_name(path):
    *_, stats = commands_of(make(path, "--dry-run"))
    named = {
        place
        for config in RECIPES.glob("*.yml")
        for place in re.findall(r"\bdata/[\w-]+/data\b", config.read_text("utf-8"))
    }
    assert stats == ["stats", f"data/{path.stem.removeprefix('corpus_')}"]
    assert f"{stats[1]}/data" in named


def test_every_corpus_that_a_config_names_has_a_recipe():
    """Or a config says how it is made: by a command of ours, or in a few lines of Python."""
    texts = {path.name: path.read_text("utf-8") for path in RECIPES.glob("*.yml")}
    made = {f"data/{path.stem.removeprefix('corpus_')}/data" for path in SHIPPED}
    for text in texts.values():
        made |= set(re.findall(r"--output-dir (data/\S+)", text))
        made |= set(re.findall(r"to_(?:parquet|json)\(\"([^\"]+)\"", text))
    for name, text in texts.items():
        named = set(re.findall(r"path: (data/(?!corpus|instructions)[^\s,]+)", text))
        assert not {n for n in named if n not in made and str(Path(n).parent) not in made}, name


def with_sources(name: str, folder: Path, *sources: Path, **pack: object) -> Path:
    """A copy of a shipped recipe that reads these sources."""
    recipe = yaml.safe_load((RECIPES / name).read_text("utf-8"))
    recipe["sources"] = list(map(str, sources))
    recipe["pack"].update(pack)
    copy = folder / name
    copy.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return copy


def trained_here(config: str, model: Path, folder: Path) -> dict[str, Any]:
    """A shipped config for this machine; the data are those that it names."""
    content = yaml.safe_load((RECIPES / config).read_text("utf-8"))
    for key in ("fsdp_version", "fsdp_config"):
        content.pop(key)
    here = {"bf16": False, "tf32": False, "attn_implementation": "sdpa"}
    here |= {"optimizer": "adamw_torch", "output_dir": str(folder / "outputs" / "model")}
    return content | here | {"base_model": str(model), "dataset_num_proc": 1}


def test_the_corpus_of_the_paper_is_made_looked_at_and_prepared(tmp_path, tiny_model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFT_DATA_DIR", str(BENCHMARKS))
    monkeypatch.setattr(inputs, "MOST_BYTES", 1 << 20)
    lines = (BENCHMARKS / "medqa" / "test.jsonl").open(encoding="utf-8")
    questions = [json.loads(line)["sent1"] for line in lines]
    item = max(questions, key=len)
    tree = tmp_path / "OpenMedText"
    planted = build(tree, 240, [item], huge_bytes=1 << 20)
    (tree / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# What this is\n")
    recipe = with_sources("corpus_openmedtext.yml", tmp_path, tree, tokenizer=str(tiny_model))
    made = make(recipe)

    raw, manifest = manifest_of(Path("data/openmedtext-raw")), manifest_of(Path("data/openmedtext"))
    rows = {row["doc_id"].partition("#")[0]: row for row in packed(Path("data/openmedtext"))}
    assert raw["skipped"] == {"about the data": 1}
    assert raw["documents_in"] == 240 and raw["licences"].keys() == {"CC-BY-4.0", "CC-BY-SA-4.0"}
    gone = planted.debris | planted.unreadable | planted.empty | planted.huge | planted.not_free
    assert gone and not {f"OpenMedText/{path}" for path in gone} & rows.keys()
    assert len(planted.items) == 1 and not any(item in row["text"] for row in rows.values())
    assert planted.distant and {f"OpenMedText/{path}" for path in planted.distant} <= rows.keys()
    assert f"{manifest['documents']:,} of {raw['documents']:,} documents" in made.output
    assert sum(entry["tokens"] for entry in manifest["licences"].values()) == manifest["tokens"]
    assert sum(entry["tokens"] for entry in manifest["topics"].values()) == manifest["tokens"]

    config = Path("my.yml")
    text = (RECIPES / "cft_llama2.yml").read_text("utf-8")
    config.write_text(text.replace("meta-llama/Llama-2-7b-chat-hf   ", f"{tiny_model} ", 1))
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(main, ["preview", str(config)])
    assert shown.exit_code == 0, shown.output
    assert f"{manifest['documents']} read" in shown.output
    first, *_ = rows.values()
    assert first["text"][:40] in " ".join(shown.output.split())

    here = trained_here("cft_llama2.yml", tiny_model, tmp_path)
    _, meta = prepare(here, preprocess=True)
    [train] = descriptions(meta.train_dataset)
    [test] = descriptions(meta.eval_dataset)
    assert train.ledger.documents == test.ledger.documents == manifest["documents"]
    assert train.ledger.used + test.ledger.used == manifest["documents"] and test.ledger.used > 0
    assert train.ledger.text_tokens + test.ledger.text_tokens == manifest["tokens"]


def test_the_recipe_for_news_says_that_no_licence_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFT_DATA_DIR", str(BENCHMARKS))
    lines = (BENCHMARKS / "fiqa" / "test.jsonl").open(encoding="utf-8")
    item = max((json.loads(line)["text"] for line in lines), key=len)
    rows = [
        {
            "title": f"News {i}",
            "text": f"Shares rose. {prose(i, 80)}",
            "url": f"https://n.example/{i}",
        }
        for i in range(60)
    ]
    rows[7]["text"] = rows[6]["text"]
    rows[8]["text"] = "Sign up for our letter today\n" * 80
    rows[9]["text"] = ""
    rows[10]["text"] += f" {item} {prose('after', 120)}"
    source = tmp_path / "financial-news-articles"
    (source / "data").mkdir(parents=True)
    for number in range(2):
        table = pa.Table.from_pylist(rows[30 * number : 30 * (number + 1)])
        pq.write_table(table, source / "data" / f"train-0000{number}-of-00002.parquet")
    write_files(source, {"README.md": "# News", "dataset_infos.json": "{}"})
    made = make(with_sources("corpus_financial_news.yml", tmp_path, source))
    raw, out = Path("data/financial_news-raw"), Path("data/financial_news")
    assert manifest_of(raw)["licences"].keys() == {"unknown"}
    assert manifest_of(raw)["identity"]["licences"] == ["unknown"]
    assert manifest_of(raw)["documents"] == 59 and "59 documents" in made.output
    kept = packed(out)
    assert {row["title"] for row in kept} == {f"News {i}" for i in range(60)} - {
        *("News 7", "News 8", "News 9")
    }
    assert all(row["url"].startswith("https://n.example/") for row in kept)
    assert not any(item in row["text"] for row in kept)


def test_the_recipe_for_pmc_reads_packages_of_articles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFT_DATA_DIR", str(BENCHMARKS))

    def paper(number: int, licence: str) -> bytes:
        stated = f'<permissions><license xlink:href="{licence}"/></permissions>' if licence else ""
        doi = f'<article-id pub-id-type="doi">10.1234/{number}</article-id>'
        title = f"<title-group><article-title>Paper {number}</article-title></title-group>"
        return article(f"<p>{prose(number, 80)}</p>", meta=doi + title + stated)

    cc = "https://creativecommons.org/licenses/{}/4.0/"
    folder = tmp_path / "pmc"
    for place, licences in (
        ("oa_comm", [cc.format("by"), "", "https://creativecommons.org/publicdomain/zero/1.0/"]),
        ("oa_noncomm", [cc.format("by-nc"), cc.format("by")]),
    ):
        (folder / place / "xml").mkdir(parents=True)
        papers = {
            f"PMC000xxxxxx/PMC{place}{number}.xml": paper(number + 10 * len(place), licence)
            for number, licence in enumerate(licences)
        }
        name = f"{place}_xml.PMC000xxxxxx.baseline.tar.gz"
        tar_of(folder / place / "xml" / name, papers)
    write_files(folder, {"PMC9.1/PMC9.1.xml": paper(9, cc.format("by-sa"))})
    make(with_sources("corpus_pmc.yml", tmp_path, folder))
    rows = packed(Path("data/pmc"))
    assert [(row["doc_id"].rpartition("/")[2], row["licence"]) for row in rows] == [
        ("PMC9.1.xml", "CC-BY-SA-4.0"),
        ("PMCoa_comm0.xml", "CC-BY-4.0"),
        ("PMCoa_comm2.xml", "CC0-1.0"),
        ("PMCoa_noncomm1.xml", "CC-BY-4.0"),
    ]
    assert rows[1]["title"] == "Paper 70" and rows[1]["url"] == "https://doi.org/10.1234/70"
    assert manifest_of(Path("data/pmc-raw"))["left_out"] == {
        "licence LicenseRef-PMC-commercial-use": 1,
        "licence CC-BY-NC-4.0": 1,
    }


def test_the_documents_of_a_cooldown_are_shuffled_as_its_comment_says(tmp_path, monkeypatch):
    import datasets

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = write_jsonl(tmp_path / "rows.jsonl", [{"text": prose(i)} for i in range(50)])
    assert run("pack", rows, "--output-dir", "data/openmedtext").exit_code == 0
    text = (RECIPES / "cooldown.yml").read_text("utf-8")
    exec("\n".join(re.findall(r"^#   ((?:from|corpus).*)$", text, re.M)), {})
    [named] = set(re.findall(r"- path: (\S+)", text))
    shuffled = [row["text"] for row in pq.read_table(named).to_pylist()]
    before = [row["text"] for row in packed(tmp_path / "data" / "openmedtext")]
    assert sorted(shuffled) == sorted(before) and shuffled != before
