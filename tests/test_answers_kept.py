"""Answers belong to what decides them, and are not paid for twice."""

import asyncio
import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import GOOD, REFUSING, Loopback, prompt_for, serve

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers
from axolotl_cft.generation.workers import _Commits
from axolotl_cft.host.tokens import Tokens, read_tokens

TEXTS = [f"Text number {i} tells of cells and their order." for i in range(5)]


def run(*arguments: object) -> Result:
    clean = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": ""}
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=clean)


class Desk:
    """Runs of `generate` at one server, each with the number of requests that it took."""

    def __init__(self, folder: Path, server: Loopback) -> None:
        self.folder, self.server, self.output = folder, server, ""

    def took(self, texts: list[str], *more: object, out: str = "out", model: str = "m") -> int:
        before = len(self.server.requests)
        corpus = write_jsonl(self.folder / "corpus.jsonl", [{"text": text} for text in texts])
        base = ("--model", model, "--base-url", self.server.url, "--output-dir", self.folder / out)
        result = run(corpus, *base, *more)
        assert result.exit_code == 0, result.output
        self.output = result.output
        return len(self.server.requests) - before

    def rows(self, out: str = "out", name: str = "corpus.jsonl") -> list[dict]:
        return [json.loads(line) for line in (self.folder / out / name).open()]

    def ledger(self, out: str = "out") -> dict:
        return json.loads((self.folder / out / "generation.json").read_text())


def test_only_what_decides_an_answer_is_paid_for(tmp_path, sentencepiece_tokenizer):
    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    own = tmp_path / "own.txt"
    own.write_text("Say what matters in {text}.")
    with serve(Loopback()) as server:
        desk = Desk(tmp_path, server)
        assert desk.took(TEXTS) == 5
        for idle in (
            ["--seed", 7],
            ["--tokenizer", tmp_path / "tokenizer"],
            ["--format", "parquet"],
            ["--fallback", "negative"],
            ["--max-input-tokens", 500],
            ["--max-output-tokens", 99],
            ["--request", "{}"],
        ):
            assert desk.took(TEXTS, *idle) == 0, idle
        assert desk.took(TEXTS[::-1]) == 0
        assert [row["contextual_prompt"] for row in desk.rows()] == list(
            map(prompt_for, TEXTS[::-1])
        )
        assert desk.took([*TEXTS, "One more text."]) == 1
        shared = ["--answers", tmp_path / "out" / "answers.sqlite"]
        assert desk.took([TEXTS[2], "Another text here."], *shared, out="elsewhere") == 1
        assert desk.ledger("elsewhere")["answers"]["accepted"] == 2
        assert not (tmp_path / "elsewhere" / "answers.sqlite").exists()
        for deciding in (
            ["--style", "strategies"],
            ["--style", "strategies", "--seed", 7],
            ["--instruction", own],
            ["--rules", "none"],
            ["--request", '{"temperature": 0}'],
            ["--prompt-budget", 64],
        ):
            assert desk.took(TEXTS, *deciding) > 0, deciding
            assert desk.took(TEXTS, *deciding) == 0, deciding
        assert desk.took(TEXTS, model="other") == 5
        assert desk.took(TEXTS) == 0


def test_an_answer_that_no_longer_fits_is_asked_for_again(tmp_path, sentencepiece_tokenizer):
    """Counted without a tokenizer it fits; this tokenizer takes a token for each rare letter."""
    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    long = (
        "Follow how QZXK, WVJQ and KXZW change, and ask what QZXK and WVJQ are there for. Hold "
        "XQZJ against JKWQ, then say in words of your own why VWXZ needs both of them."
    )
    rough = Tokens().of_prompt(long)
    assert rough < len(sentencepiece_tokenizer(long)["input_ids"])
    with serve(Loopback(behave=lambda text, n: GOOD if n else long)) as server:
        desk = Desk(tmp_path, server)
        budget = ["--prompt-budget", rough]
        assert desk.took(TEXTS[:1], *budget) == 1 and desk.rows()[0]["contextual_prompt"] == long
        assert desk.took(TEXTS[:1], *budget, "--tokenizer", tmp_path / "tokenizer") == 1
        said = server.requests[-1]["messages"][0]["content"]
        assert "A previous answer could not be used because it is too long" in said
    assert desk.rows()[0]["contextual_prompt"] == prompt_for(TEXTS[0])
    answers = desk.ledger()["answers"]
    assert (answers["asked_again"], answers["tokens_out"]) == (1, 40)  # both were billed


def test_answers_are_there_for_whoever_counts_as_before(tmp_path):
    """A look with a smaller budget, or a larger one, decides for itself alone."""
    long = (
        "Follow how the parts depend on each other, ask which of them could fail first, and "
        "picture what the others would do about it then."
    )
    with serve(Loopback(behave=lambda text, n: long)) as server:
        desk = Desk(tmp_path, server)
        none = ("--rules", "none")  # with the rules, the budget stands in the message
        assert desk.took(TEXTS[:3], *none) == 3
        small = ("--prompt-budget", 20, *none)
        look = (*small, "--export-batch", tmp_path / "r.jsonl")
        assert desk.took(TEXTS[:3], *look) == 0
        assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 3
        assert desk.took(TEXTS[:3], *none) == 0
        assert desk.took(TEXTS[:3], *small, "--attempts", 2, "--fallback", "paper") == 3
        assert desk.ledger()["rows_rejected"] == 3
        assert desk.took(TEXTS[:3], *none) == 0  # too long for 20 tokens only
        assert {row["contextual_prompt"] for row in desk.rows()} == {long}


def test_the_tokenizer_counts_by_what_it_is_and_not_by_where_it_lies(
    tmp_path, sentencepiece_tokenizer
):
    sentencepiece_tokenizer.save_pretrained(tmp_path / "here")
    sentencepiece_tokenizer.save_pretrained(tmp_path / "there")
    first, second = (read_tokens(None, str(tmp_path / name)) for name in ("here", "there"))
    assert first.measure == second.measure != Tokens().measure
    assert read_tokens(None, str(tmp_path / "here"), 99).measure != first.measure
    sentencepiece_tokenizer.add_special_tokens({"additional_special_tokens": ["<mark>"]})
    sentencepiece_tokenizer.save_pretrained(tmp_path / "there")
    assert read_tokens(None, str(tmp_path / "there")).measure != first.measure


def test_stand_ins_are_the_same_whoever_was_asked_how(tmp_path):
    with serve(Loopback(behave=lambda text, n: REFUSING)) as server:
        desk = Desk(tmp_path, server)
        drawn = []
        for model, more in (("m", ()), ("n", ()), ("m", ("--rules", "none"))):
            desk.took(TEXTS, "--attempts", 1, "--fallback", "paper", *more, model=model)
            drawn.append([row["contextual_prompt"] for row in desk.rows()])
        assert drawn[0] == drawn[1] == drawn[2] and len(set(drawn[0])) > 1
        pool = tmp_path / "pool.yaml"
        pool.write_text("name: p\ndescription: d\nprompts: [{id: a, text: 'Think of {topic}.'}]\n")
        corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"text": TEXTS[0]}])
        base = (corpus, "--model", "m", "--base-url", server.url, "--output-dir", tmp_path / "out")
        asked = len(server.requests)
        columns = run(*base, "--fallback", pool)
        assert columns.exit_code == 1 and "need the column 'topic'" in columns.output
        unknown = run(*base, "--fallback", "papr")
        assert unknown.exit_code == 1 and len(server.requests) == asked
        pool.write_text(
            "name: p\ndescription: d\nprompts: [{id: a, text: 'Mind {{all}} of it.'}]\n"
        )
        assert run(*base, "--fallback", pool).exit_code == 0
        assert desk.rows()[0]["contextual_prompt"] == "Mind {all} of it."


def test_options_that_contradict_each_other_are_refused(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"text": TEXTS[0]}])
    base = (corpus, "--model", "m", "--output-dir", tmp_path / "out")
    for more, said in (
        (("--price-in", 1), "go together"),
        (("--price-in", "nan", "--price-out", 1), "a price is a number"),
        (("--price-in", "inf", "--price-out", 1), "not in the range"),
        (("--estimate", "--export-batch", tmp_path / "r"), "leave the batch out"),
    ):
        wrong = run(*base, *more)
        assert wrong.exit_code == 2 and said in wrong.output, wrong.output


def test_what_cannot_be_stored_fails_for_all_who_wait(tmp_path):
    class Full(Answers):
        def store(self, answers, batch_lines=()):
            time.sleep(0.05)
            raise CFTError("the disk is full")

    async def all_at_once(answers: Answers) -> list[object]:
        commits = _Commits(answers)
        waiting = (commits.commit(Answer(str(i), "A.")) for i in range(9))
        return await asyncio.gather(*waiting, return_exceptions=True)

    with closing(Full(tmp_path / "a.sqlite")) as answers:
        failed = asyncio.run(all_at_once(answers))
    assert all(isinstance(exc, CFTError) for exc in failed)


def test_two_names_of_one_file_are_one_file(tmp_path):
    (tmp_path / "other.sqlite").symlink_to(tmp_path / "a.sqlite")
    with closing(Answers(tmp_path / "a.sqlite")), pytest.raises(CFTError, match="in use"):
        Answers(tmp_path / "other.sqlite")


def test_a_limited_run_is_kept_apart_and_gone_on_with(tmp_path):
    with serve(Loopback()) as server:
        desk = Desk(tmp_path, server)
        assert desk.took(TEXTS, "--limit", 2) == 2
        assert [row["text"] for row in desk.rows("out/first-2")] == TEXTS[:2]
        assert desk.ledger("out/first-2")["rows_in"] == 2
        assert not (tmp_path / "out" / "corpus.jsonl").exists()
        assert desk.took(TEXTS, "--limit", 9) == 3
        assert desk.took(TEXTS) == 0 and len(desk.rows()) == 5
        whole = [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.json*"))]
        assert desk.took(TEXTS, "--limit", 1) == 0 and len(desk.rows("out/first-1")) == 1
        assert whole == [path.read_bytes() for path in sorted((tmp_path / "out").glob("*.json*"))]


def test_money_is_counted_with_what_was_thrown_away(tmp_path):
    def behave(text: str, before: int) -> str:
        return REFUSING if "3" in text or (before == 0 and "2" in text) else GOOD

    with serve(Loopback(behave=behave)) as server:
        desk = Desk(tmp_path, server)
        prices = ["--price-in", 2, "--price-out", 10, "--drop-rejects"]
        assert desk.took(TEXTS, *prices) == 8  # one asked for twice, one three times
        assert desk.ledger()["cost"] == pytest.approx(8 * (100 * 2 + 20 * 10) / 1e6)
        assert "800 tokens in and 160 out, rejected ones included: 0.0032" in desk.output
        assert desk.took(TEXTS, *prices, "--retry-rejects") == 3
        assert desk.ledger()["answers"]["tokens_in"] == 1100
        assert desk.took(TEXTS, "--estimate", *prices) == 0
        assert "cost of these tokens, at most" in desk.output
        assert desk.took(TEXTS, "--drop-rejects") == 0 and desk.ledger()["cost"] is None


def test_the_rows_of_another_corpus_are_not_written_over(tmp_path):
    with serve(Loopback()) as server:
        assert Desk(tmp_path, server).took(TEXTS) == 5
        other = write_jsonl(tmp_path / "other.jsonl", [{"text": "Other."}])
        base = ("--model", "m", "--base-url", server.url, "--output-dir", tmp_path / "out")
        refused = run(other, *base)
        assert refused.exit_code == 1 and len(server.requests) == 5
        assert "holds the rows of" in refused.output and "another output folder" in refused.output
        assert "answers.sqlite for its answers" in refused.output
        (tmp_path / "b").mkdir()
        namesake = write_jsonl(tmp_path / "b" / "corpus.jsonl", [{"text": "Other."}])
        assert run(namesake, *base).exit_code == 1 and len(server.requests) == 5


def test_the_papers_request_is_sent_as_it_is_quoted(tmp_path):
    from axolotl_cft.generation.instructions import TEXT_ADAPT_CFT

    with serve(Loopback()) as server:
        desk = Desk(tmp_path, server)
        desk.took(TEXTS[:1], "--rules", "none")
    [message] = server.requests[0]["messages"]
    assert message == {"role": "user", "content": f"{TEXT_ADAPT_CFT}\n\n{TEXTS[0]}"}
    assert desk.ledger()["rules"] == "none"


def test_a_chunk_of_nothing_to_read_is_not_asked_about(tmp_path, tiny_model):
    """A rule of stars between two parts: a model would say that there is no text."""
    import yaml
    from encoder import encoder_for
    from transformers import AutoTokenizer

    config = {
        "base_model": str(tiny_model),
        "sequence_len": 160,
        "datasets": [{"path": str(tmp_path / "corpus.jsonl"), "type": "cft"}],
    }
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(config))
    text = "Word by word it goes on. " * 9 + "* " * 400 + "And so it ends. " * 9
    with serve(Loopback()) as server:
        desk = Desk(tmp_path, server)
        took = desk.took([text], "--config", path)
    [row] = desk.rows()
    prompts = row["contextual_prompt"]
    assert 0 < took == sum(prompt is not None for prompt in prompts) < len(prompts)
    encoder = encoder_for(
        AutoTokenizer.from_pretrained(tiny_model),
        sequence_len=160,
        prompts={"column": "contextual_prompt"},
    )
    columns = {name: row[name] for name in row if name != "text"}
    assert len(encoder.encode([text], [columns])) == len(prompts)


def test_looking_at_the_answers_of_a_run_under_way_does_not_stop_it(tmp_path):

    path = tmp_path / "a.sqlite"
    with closing(Answers(path)) as answers, closing(sqlite3.connect(path)) as reader:
        answers.store([Answer(str(i), "A.") for i in range(9)])
        rows = reader.execute("SELECT * FROM answers")
        rows.fetchone()  # and the query stays open
        writing = threading.Thread(target=answers.store, args=([Answer("a", "A.")],))
        writing.start()
        writing.join(0.3)
        assert writing.is_alive()
        rows.close()
        writing.join(30)
        assert len(answers) == 10
