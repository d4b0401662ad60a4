"""`axolotl-cft preview`: what it shows is what is trained."""

import html
import re

import pytest
import yaml
from click.testing import CliRunner
from conftest import make_documents, write_jsonl

from axolotl_cft.cli import main
from axolotl_cft.preview.collect import collect, decode_spans
from axolotl_cft.prompts.registry import load_pool


@pytest.fixture
def write_config(tmp_path, tiny_model):
    """Write a config for the tiny model; keyword arguments replace top-level keys."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(40))

    def write(**changes):
        dataset = {"path": str(corpus), "type": "cft", "field": "text"}
        config = {
            "base_model": str(tiny_model),
            "seed": 1,
            "plugins": ["axolotl_cft.CFTPlugin"],
            "datasets": [dict(dataset)],
            "test_datasets": [dict(dataset)],
            "cft": {"holdout": 0.2},
            "sequence_len": 256,
            "micro_batch_size": 1,
            "gradient_accumulation_steps": 1,
            "num_epochs": 1,
            "learning_rate": 1e-3,
            "optimizer": "adamw_torch",
            "output_dir": str(tmp_path / "out"),
            "dataset_prepared_path": str(tmp_path / "prepared"),
        }
        path = tmp_path / "config.yml"
        path.write_text(yaml.safe_dump(config | changes), encoding="utf-8")
        return path

    return write


def run(*arguments):
    return CliRunner().invoke(main, ["preview", *map(str, arguments)])


def text_of(segment):
    return "".join(text for text, _ in segment[1])


def test_rows_are_masked_prompt_then_trained_text(write_config, tmp_path):
    (dataset,) = collect(write_config(), rows=5)
    prompts = {prompt.id: prompt.text for prompt in load_pool("paper").prompts}
    texts = [document["text"] for document in make_documents(40)]
    assert len(dataset.rows) == 5
    for row in dataset.rows:
        masked, trained = row.segments
        assert (masked[0], trained[0]) == (False, True)
        assert masked[1][0] == ("<s>", True)
        prompt_id = re.search(r"prompt: (\w+)", row.heading)[1]
        assert text_of(masked) == f"<s>{prompts[prompt_id]}\n\n"
        number = int(re.search(r"document (\d+)", row.heading)[1])
        body = text_of(trained)
        assert body.removesuffix("</s>").strip() in texts[number - 1]
    ledger = "\n".join(dataset.ledger)
    assert "40 read" in ledger and "targets digest" in ledger


def test_nothing_is_left_behind(write_config, tmp_path):
    path = write_config()
    before = sorted(tmp_path.rglob("*"))
    assert run(path).exit_code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_held_out_part_goes_without_prompts(write_config):
    train, test = (collect(write_config(), part=part, rows=40)[0] for part in ("train", "test"))
    assert all("prompt: none" in row.heading for row in test.rows)
    assert all(text_of(row.segments[0]) == "<s>" for row in test.rows)
    numbers = [
        {re.search(r"document (\d+)", row.heading)[1] for row in part.rows}
        for part in (train, test)
    ]
    assert numbers[1] and not numbers[0] & numbers[1]


def test_headings_count_chunks_views_and_tokens(write_config):
    path = write_config(sequence_len=160, cft={"views": 2})
    (dataset,) = collect(path, rows=60)
    headings = [row.heading for row in dataset.rows]
    assert any("chunk 1 of 2 · view 2 of 2" in heading for heading in headings)
    for row in dataset.rows:
        masked, trained = map(
            int, re.search(r"(\d+) masked \+ (\d+) trained", row.heading).groups()
        )
        assert 0 < masked <= 128 and 0 < trained <= 32


def test_every_dataset_has_its_turn(write_config, tmp_path):
    dataset = {"path": str(tmp_path / "corpus.jsonl"), "type": "cft"}
    first = dataset | {"split": "train[:50%]"}
    second = dataset | {"split": "train[50%:]", "cft": {"prompts": "none"}}
    previews = collect(write_config(datasets=[first, second], cft={}, test_datasets=None), rows=1)
    assert [preview.title.rpartition(" ")[2] for preview in previews] == ["paper", "none"]
    starts = [text_of(preview.rows[0].segments[-1])[:12].strip() for preview in previews]
    assert starts == ["Section 0. T", "Section 20."]
    assert all("20 read" in preview.ledger[0] for preview in previews)


def test_conversations_show_what_is_trained(write_config, tmp_path):
    turns = [
        {"role": "user", "content": "What does insulin do?"},
        {"role": "assistant", "content": "It lets cells take up glucose."},
    ]
    chat = write_jsonl(tmp_path / "chat.jsonl", [{"messages": turns}] * 3)
    dataset = {"path": str(chat), "type": "cft.chat", "field_messages": "messages"}
    path = write_config(datasets=[dataset], test_datasets=None, cft={"views": 2})
    (shown,) = collect(path, rows=2)
    for row in shown.rows:
        assert "conversation 1" in row.heading
        trained = [text_of(segment) for segment in row.segments if segment[0]]
        assert "It lets cells take up glucose." in trained[0]
        prompt = load_pool("paper").prompts
        prompt_id = re.search(r"prompt: (\w+)", row.heading)[1]
        text = next(p.text for p in prompt if p.id == prompt_id)
        assert text in text_of(row.segments[0])


def test_terminal_and_page(write_config, tmp_path):
    page = tmp_path / "rows.html"
    result = run(write_config(), "-n", 2, "--html", page)
    assert result.exit_code == 0, result.output
    assert result.output.count("\n  masked ") == 2
    assert "Ledger of the sample" in result.output
    content = page.read_text(encoding="utf-8")
    assert content.count("<span class=masked><b>&lt;s&gt;</b>") == 2
    shown = html.unescape(re.sub(r"<[^>]+>", "", content))
    for dataset in collect(write_config(), rows=2):
        for row in dataset.rows:
            assert row.heading in shown
            assert text_of(row.segments[1]) in shown


def test_special_tokens_stand_apart_and_controls_are_visible(sentencepiece_tokenizer):
    tokenizer = sentencepiece_tokenizer
    text = "naïve 東京 \x1b[31m red\x00 </s> end"
    ids = tokenizer(text)["input_ids"]
    spans = decode_spans(tokenizer, ids)
    assert [span for span in spans if span[1]] == [("<s>", True), ("</s>", True)]
    shown = "".join(text for text, special in spans if not special)
    assert "naïve 東京 ␛[31m red␀" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cft": {"promts": "paper"}}, "cft.promts: no such option"),
        ({"datasets": [{"path": "nowhere.jsonl", "type": "cft"}]}, "nowhere.jsonl"),
        ({"base_model": "no-such-folder/model"}, "no-such-folder/model"),
        ({"test_datasets": None}, "no dataset under `test_datasets`"),
        ({"micro_batch_size": "many"}, "micro_batch_size"),
    ],
)
def test_refusals(write_config, changes, message):
    part = "test" if "test_datasets" in changes else "train"
    result = run(write_config(**changes), "--part", part)
    assert result.exit_code == 1, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_missing_column_and_file(write_config, tmp_path):
    path = write_config()
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("datasets", "test_datasets"):
        config[key][0]["field"] = "body"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    result = run(path)
    assert result.exit_code == 1 and "has no column 'body'" in result.output
    result = run(tmp_path / "absent.yml")
    assert result.exit_code == 1 and f"cannot read {tmp_path / 'absent.yml'}" in result.output
