"""`axolotl-cft preview`: what it shows is what is trained."""

import html
import importlib
import json
import re
from contextlib import suppress
from html.parser import HTMLParser
from itertools import pairwise
from typing import ClassVar

import pytest
import yaml
from axolotl.cli.config import load_cfg
from axolotl.integrations.base import BasePlugin
from click.testing import CliRunner
from conftest import make_documents, write_jsonl

from axolotl_cft.cli import main
from axolotl_cft.host.overrides import override, read_words
from axolotl_cft.preview.collect import (
    DatasetPreview,
    PreviewRow,
    Stretch,
    collect,
    decode_spans,
    visible,
)
from axolotl_cft.preview.cut_words import splits_word
from axolotl_cft.preview.page import to_html
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


def said(result):
    """What was printed, however it was broken into lines."""
    return " ".join(result.output.split())


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
    assert content.count("<pre dir=auto>\n<b dir=ltr>&lt;s&gt;</b>") == 2
    shown = html.unescape(re.sub(r"<[^>]+>", "", content))
    for dataset in collect(write_config(), rows=2):
        for row in dataset.rows:
            assert row.heading in shown
            assert text_of(row.segments[1]) in shown


class Page(HTMLParser):
    """What a page shows: text by the classes it stands in, and every element's attributes."""

    def __init__(self, content):
        super().__init__()
        self.open, self.shown, self.attributes = [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "html"):
            self.open.append((tag, dict(attrs)))
            self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        kinds = [attrs["class"] for _, attrs in self.open if "class" in attrs]
        self.shown.append((tuple(kinds), data))

    def text(self, *kinds):
        return "".join(data for found, data in self.shown if found == kinds)


def a_row(*stretches):
    return DatasetPreview("title", [PreviewRow("document 1", list(stretches))], ["40 read"])


def test_masked_and_trained_text_differ_in_words_and_lines_and_not_in_shade_alone():
    masked, trained = Stretch(False, [("Read this.", False)]), Stretch(True, [("A text.", False)])
    content = to_html([a_row(masked, trained)], "my.yml")
    page = Page(content)
    assert "Read this." in page.text("masked") and "A text." in page.text("trained")
    assert page.text("masked", "kind") == "masked" and page.text("trained", "kind") == "trained"
    borders = re.findall(r"^\.(masked|trained) \{ border-left: (\w+ \w+) ", content, re.MULTILINE)
    assert borders == [("masked", "3px dashed"), ("trained", "6px solid")]
    assert "forced-color-adjust" not in content  # a reader's own colors are kept to
    only = Page(to_html([a_row(masked)], "my.yml"))
    assert only.text("trained", "kind") == ""


def test_the_ledger_stands_before_the_rows():
    content = to_html([a_row(Stretch(True, [("A text.", False)]))], "my.yml")
    assert content.index("40 read") < content.index("document 1") < content.index("A text.")


def test_what_the_ledger_counts_has_a_column_of_its_own():
    ledger = ["rows             24", "special tokens   2 inside the <s>  texts"]
    content = to_html([DatasetPreview("title", [], ledger)], "my.yml")
    for name, counted in [("rows", "24"), ("special tokens", "2 inside the &lt;s&gt;  texts")]:
        assert f"<tr><th scope=row>{name}</th><td>{counted}</td>" in content
    assert "<td>" not in to_html([DatasetPreview("title", [], [])], "my.yml")


BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_no_character_turns_the_direction_of_what_is_shown(sentencepiece_tokenizer):
    text = f"pay {BIDI} 100"
    spans = decode_spans(sentencepiece_tokenizer, sentencepiece_tokenizer(text)["input_ids"])
    shown = "".join(text for text, _ in spans)
    for sign in BIDI:
        assert sign not in shown and f"⟨U+{ord(sign):04X}⟩" in shown
    dataset = DatasetPreview(text, [PreviewRow(text, [Stretch(True, [(text, True)])])], [text])
    content = to_html([dataset], text)
    assert not set(BIDI) & set(content)
    assert content.count("⟨U+202E⟩ ⟨U+2066⟩") == 0 and content.count("⟨U+202E⟩⟨U+2066⟩") == 6
    assert visible("e\u0301 \u200b שלום") == "e\u0301 \u200b שלום"  # what joins or hides, stays


def test_each_stretch_has_its_own_direction_and_tokens_have_no_say_in_it():
    hebrew = Stretch(True, [("<s>", True), ("\nשלום עולם", False), ("</s>", True)])
    page = Page(to_html([a_row(hebrew)], "my.yml"))
    assert ("pre", {"dir": "auto"}) in page.attributes
    assert [attrs for tag, attrs in page.attributes if tag == "b" and attrs] == [{"dir": "ltr"}] * 2
    # A parser takes off the first line end behind <pre>, which must not be the text's own.
    assert "<pre dir=auto>\n<b" in to_html([a_row(hebrew)], "my.yml")


def test_chunks_that_end_within_a_word_say_so(write_config, tmp_path):
    texts = [" ".join("a" * 200), "insulinglucose" * 40]  # of the first, words are tokens
    write_jsonl(tmp_path / "corpus.jsonl", [{"text": text} for text in texts])
    path = write_config(sequence_len=160, test_datasets=None, cft={})
    (dataset,) = collect(path, rows=99)
    marks = {1: [], 2: []}
    for row in dataset.rows:
        trained = row.segments[-1]
        assert not row.segments[0].begins_in_word and not row.segments[0].ends_in_word
        number = int(re.search(r"document (\d+)", row.heading)[1])
        marks[number].append((trained.begins_in_word, trained.ends_in_word))
    assert len(marks[1]) > 1 and set(marks[1]) == {(False, False)}
    assert marks[2] == [(False, True), *[(True, True)] * (len(marks[2]) - 2), (True, False)]
    page = tmp_path / "rows.html"
    shown = run(path, "-n", 99, "--html", page).output
    assert shown.count("…|") == len(marks[2]) - 1 + 1  # and once where it is explained
    assert page.read_text(encoding="utf-8").count("<i>…|</i>") == len(marks[2]) - 1 + 1
    assert page.read_text(encoding="utf-8").count("<i>|…&NoBreak;</i>") == len(marks[2]) - 1
    write_jsonl(tmp_path / "corpus.jsonl", [{"text": texts[0]}])
    assert "…|" not in run(path, "-n", 99).output


def test_segments_within_a_row_say_where_they_cut_a_word(write_config, tmp_path):
    write_jsonl(tmp_path / "corpus.jsonl", [{"text": "insulinglucose" * 40}])
    path = write_config(test_datasets=None, cft={"every": 16, "prompt_budget": 48})
    (dataset,) = collect(path, rows=1)
    trained = [stretch for stretch in dataset.rows[0].segments if stretch.trained]
    assert len(trained) > 2
    assert [part.begins_in_word for part in trained] == [False] + [True] * (len(trained) - 1)
    assert all(part.ends_in_word for part in trained)


@pytest.mark.parametrize(
    ("text", "before", "after", "is_split"),
    [
        ("heartbeat", "heart", "beat", True),
        ("heart beat", "heart", " beat", False),
        ("heart beat", "heart ", "beat", False),
        ("heart-beat", "heart", "-beat", False),
        ("12345", "12", "345", True),
        ("heart\nbeat", "heart", "\nbeat", False),
    ],
)
def test_a_word_is_split_between_letters(bytelevel_tokenizer, text, before, after, is_split):
    ids = [
        bytelevel_tokenizer(part, return_tensors="np")["input_ids"][0] for part in (before, after)
    ]
    assert splits_word(bytelevel_tokenizer, *ids) is is_split


def test_a_character_of_several_tokens_is_split_within(any_tokenizer):
    ids = any_tokenizer("a ☃ b", add_special_tokens=False, return_tensors="np")["input_ids"][0]
    whole = [splits_word(any_tokenizer, ids[:at], ids[at:]) for at in range(1, len(ids))]
    assert any(whole) and not whole[-1]


def test_bytes_that_a_chunk_cuts_within_a_character_leave_the_others_readable(any_tokenizer):
    word = "القلبيضخالدم" * 4
    ids = any_tokenizer(word, add_special_tokens=False, return_tensors="np")["input_ids"][0]
    parts = [ids[at : at + 15] for at in range(0, len(ids), 15)]
    shown = ["".join(text for text, _ in decode_spans(any_tokenizer, part)) for part in parts]
    read = "".join(shown).replace("\ufffd", "").strip()
    assert len(read) >= len(word) - len(parts) and set(read) <= set(word)
    assert all(splits_word(any_tokenizer, *pair) for pair in pairwise(parts))


def test_a_character_that_was_unreadable_before_stays(any_tokenizer):
    text = "heart \ufffd beat"
    ids = any_tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(shown for shown, _ in decode_spans(any_tokenizer, ids)).strip() == text


def test_the_ledger_for_programs(write_config, tmp_path, monkeypatch):
    path, page = write_config(), tmp_path / "rows.html"
    (dataset,) = collect(path)
    command = importlib.import_module("axolotl_cft.cli.preview")
    monkeypatch.setattr(command, "collect", lambda *given: print("a warning") or collect(*given))
    told = run(path, "--json", "--html", page)
    assert "a warning" in told.stderr
    (found,) = json.loads(told.stdout)
    assert found == dataset.counts
    assert found["part"] == "train" and found["prompts"] == "paper" and "stamp" not in found
    assert found["ledger"]["documents"] == 40 and page.is_file()
    digest = found["ledger"]["targets_digest"]
    assert any(digest in line for line in dataset.ledger) and digest in run(path).stdout
    with pytest.raises(json.JSONDecodeError):
        json.loads(run(path).stdout)


def test_special_tokens_stand_apart_and_controls_are_visible(sentencepiece_tokenizer):
    tokenizer = sentencepiece_tokenizer
    text = "naïve 東京 \x1b[31m red\x00 </s> end"
    ids = tokenizer(text)["input_ids"]
    spans = decode_spans(tokenizer, ids)
    assert [span for span in spans if span[1]] == [("<s>", True), ("</s>", True)]
    shown = "".join(text for text, special in spans if not special)
    assert "naïve 東京 ⟨U+001B⟩[31m red⟨U+0000⟩" in shown
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


# ---- keys on the command line, as training takes them ----


def test_words_after_the_config_override_its_keys(write_config):
    path = write_config(cft={"prompts": "paper", "holdout": 0.2})
    result = run(
        path, "-n", 1, "--cft__prompts=none", "--sequence_len", 40, "--cft__prompt-budget=8"
    )
    assert result.exit_code == 0, result.output
    assert "prompt: none" in said(result)
    masked, trained = map(int, re.search(r"(\d+) masked \+ (\d+) trained", said(result)).groups())
    assert masked == 1 and trained == 32  # a row of 40 less the budget; BOS stands in its place
    assert "prompt: none" not in said(run(path, "-n", 1))


def test_words_may_stand_in_any_order(write_config, tmp_path):
    page = tmp_path / "rows.html"
    result = run("--cft__views", 3, write_config(), "--html", page, "-n", 1, "--nostrict")
    assert result.exit_code == 0, result.output
    assert "view 1 of 3" in said(result)
    assert "--cft__views 3" in page.read_text(encoding="utf-8")


class Witness(BasePlugin):
    """What the host makes of a config and its command line, before anybody validates it."""

    seen: ClassVar[list[dict]] = []

    def register(self, cfg):
        self.seen.append(cfg.to_dict())


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "x7", "--learning_rate=2e-4", "--bf16", "--notf32", "--num-epochs", "2.5"],
        ["--cft__holdout", "0.5", "--cft__prompts", "none", "--cft__place=null"],
        ["--trl__beta", "0.1", "--optimizer__b", "3", "--output_dir", "None"],
        ["--wandb_project", "none", "--strict", "true", "--eval_steps", "7", "--lisa__n", "[1,2]"],
        ["--load_in_4bit=yes", "--special_tokens", "{pad_token: </s>}", "--seed=1_000"],
    ],
    ids=lambda words: words[0],
)
def test_overrides_are_read_as_the_host_reads_them(write_config, words):
    import fire
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.dict import DictDefault

    path = write_config(plugins=[f"{__name__}.Witness"], datasets=[], test_datasets=None, tf32=True)
    PluginManager.get_instance().plugins.clear()
    host: dict = {}
    fire.Fire(lambda config, **kwargs: host.update(kwargs), command=[str(path), *words])
    with suppress(ValueError):  # what the values mean is for the validation that follows
        load_cfg(str(path), **host)
    named, ours = read_words([*words, str(path)])
    config = DictDefault(yaml.safe_load(path.read_text(encoding="utf-8")))
    before = config.to_dict()
    override(config, ours)
    by_host = Witness.seen.pop()
    assert by_host.pop("axolotl_config_path") == named == str(path)
    assert config.to_dict() == by_host != before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--row", "5"], "--row: neither this command nor Axolotl has such an option"),
        (["--seqence_len=9"], "--seqence_len: neither this command nor Axolotl"),
        (["other.yml"], "expected one config and `--key value`"),
        (["--cft.prompts", "none"], "cft.prompts: the host reads no options of this form"),
        (["--cft__prompts", "nowhere.yaml"], "nowhere.yaml"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_words_that_training_would_not_take_are_refused(write_config, words, message):
    result = run(write_config(), *words)
    assert result.exit_code == 1, result.output
    assert message in said(result) and "Traceback" not in result.output


def test_a_config_has_to_be_named():
    result = run("--seed", 3)
    assert result.exit_code == 1
    assert "--seed 3: expected one config" in said(result)
