"""`axolotl-cft generate` against a real HTTP endpoint on 127.0.0.1."""

import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import (
    CUT,
    FAILING,
    FAULTS,
    GARBLED,
    GOOD,
    PERMANENT,
    RATE_LIMITED,
    REFUSING,
    Loopback,
    prompt_for,
    serve,
)

from axolotl_cft.cli import main
from axolotl_cft.corpus.readers import Field, open_corpus
from axolotl_cft.corpus.writers import Corpus
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answers
from axolotl_cft.generation.client import Client
from axolotl_cft.generation.generate import estimate, generate
from axolotl_cft.generation.run import PROMPT_COLUMN, Closing, Endpoint, PromptOptions
from axolotl_cft.generation.workers import ask_all
from axolotl_cft.prompts.registry import load_pool

COMMAND = [sys.executable, "-c", "from axolotl_cft.cli import main; main()", "generate"]


def run(*arguments: object, **environment: str) -> Result:
    clean = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": "", **environment}
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=clean)


def ask(server: Loopback, corpus: Path, *more: object) -> Result:
    output = corpus.parent / "out"
    return run(corpus, "--model", "m", "--base-url", server.url, "--output-dir", output, *more)


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def make_corpus(folder: Path, count: int) -> Path:
    rows = [
        {"id": i, "text": f"Text number {i} tells of cells and their order."} for i in range(count)
    ]
    return write_jsonl(folder / "corpus.jsonl", rows)


def ledger_of(corpus: Path) -> dict:
    return json.loads((corpus.parent / "out" / "generation.json").read_text())


@pytest.mark.slow
def test_every_row_is_answered_exactly_once_whatever_goes_wrong(tmp_path):
    def behave(text: str, before: int) -> str:
        dice = random.Random(f"{text} {before}")
        return dice.choice(FAULTS) if dice.random() < 0.4 else GOOD

    corpus = make_corpus(tmp_path, 250)
    with serve(Loopback(latency=0.05, behave=behave)) as server:
        result = ask(server, corpus, "--concurrency", 64, "--attempts", 9)
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["id"] for row in rows] == list(range(250))
    assert all(row["contextual_prompt"] == prompt_for(row["text"]) for row in rows)
    assert server.busiest <= 64
    moods = [behave(text, n) for text, times in server.asked.items() for n in range(times)]
    assert set(moods) == {*FAULTS, GOOD}
    answers = ledger_of(corpus)["answers"]
    assert (answers["accepted"], answers["rejected"]) == (250, 0)
    likeness = ledger_of(corpus)["likeness"]
    assert likeness == {"prompts": 250, "distinct": 250, "openings": {"look closely at topic": 250}}
    assert answers["asked_again"] == moods.count(REFUSING)
    assert answers["retries"] == sum(moods.count(m) for m in (RATE_LIMITED, FAILING, GARBLED, CUT))
    assert answers["tokens_in"] == 100 * (moods.count(GOOD) + moods.count(REFUSING))
    with closing(Answers(tmp_path / "out" / "answers.sqlite")) as kept:
        assert len(kept) == 250


def test_as_many_requests_are_under_way_as_asked_for(tmp_path):
    with serve(Loopback(latency=1.0)) as server:
        assert ask(server, make_corpus(tmp_path, 100), "--concurrency", 64).exit_code == 0
    assert server.busiest == 64


def test_retry_after_is_honoured(tmp_path):
    corpus = make_corpus(tmp_path, 1)
    seen: list[float] = []
    with serve(
        Loopback(
            behave=lambda text, before: RATE_LIMITED if before == 0 else GOOD,
            retry_after="1.2",
            on_request=lambda text: seen.append(time.monotonic()),
        )
    ) as server:
        assert ask(server, corpus).exit_code == 0
    assert seen[1] - seen[0] >= 1.2  # its own first back-off would be 0.5 s at most


def test_a_request_that_takes_long_to_make_holds_up_no_answer(tmp_path):
    """As that of a long text does, of which all must be tokenized."""
    plan, settled = PromptOptions().plan(), []

    with serve(Loopback()) as server, closing(Answers(tmp_path / "answers.sqlite")) as answers:
        endpoint = Endpoint("m", server.url)

        def jobs():
            first = plan.job(endpoint.keys(), "First.")
            yield first
            deadline = time.monotonic() + 30
            while not len(answers) and time.monotonic() < deadline:
                time.sleep(0.05)
            settled.extend(answers.read([first.key]))
            yield plan.job(endpoint.keys(), "Second.")

        make = endpoint.clients
        ask_all(jobs(), answers, make, concurrency=2, attempts=1, show=lambda meter: None)
        assert len(settled) == 1 and len(answers) == 2


def test_an_answer_is_durable_before_the_next_is_asked_for(tmp_path):
    corpus = make_corpus(tmp_path, 20)
    kept: list[int] = []

    def look(text: str) -> None:  # as anybody may, while the run goes on
        with closing(sqlite3.connect(tmp_path / "out" / "answers.sqlite")) as answers:
            kept.append(answers.execute("SELECT count(*) FROM answers").fetchone()[0])

    with serve(Loopback(on_request=look)) as server:
        assert ask(server, corpus, "--concurrency", 1).exit_code == 0
    assert kept == list(range(20))


def test_a_permanent_error_stops_with_the_servers_words_and_nothing_is_lost(tmp_path):
    corpus = make_corpus(tmp_path, 30)
    with serve(Loopback()) as server:
        server.behave = lambda text, before: PERMANENT if sum(server.asked.values()) > 10 else GOOD
        stopped = ask(server, corpus, "--concurrency", 2)
        assert stopped.exit_code == 1
        assert "Incorrect API key provided: sk-nope" in stopped.output
        assert "401" in stopped.output and "the same command continues" in stopped.output
        assert sum(server.asked.values()) <= 13
        assert not (tmp_path / "out" / "corpus.jsonl").exists()
        server.behave = lambda text, before: GOOD
        assert ask(server, corpus, "--concurrency", 2).exit_code == 0
        assert sum(times - 1 for times in server.asked.values()) <= 3
        before = sum(server.asked.values())
        assert ask(server, corpus).exit_code == 0  # all is there: nothing is asked
        assert sum(server.asked.values()) == before
    assert len(rows_of(tmp_path / "out" / "corpus.jsonl")) == 30


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        (FAILING, "answered 500: overloaded; no answer came within the run's patience"),
        (CUT, "gave no answer"),
        (GARBLED, "not a chat completion"),
    ],
)
def test_a_server_that_does_not_recover_stops_the_run(tmp_path, mood, words):
    with serve(Loopback(behave=lambda text, before: mood)) as server:
        result = ask(server, make_corpus(tmp_path, 3), "--patience", 0.01)
    assert result.exit_code == 1 and words in result.output


def test_answers_that_stay_bad_are_listed_and_fall_back_only_if_asked(tmp_path):
    rows = [{"text": text} for text in ("fine one", "bad one", "fine two", "bad one")]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", rows)
    out = tmp_path / "out"

    def behave(text: str, before: int) -> str:
        return REFUSING if "bad" in text else GOOD

    with serve(Loopback(behave=behave)) as server:
        refused = ask(server, corpus, "--attempts", 2)
        assert refused.exit_code == 1
        assert "2 of 4 rows" in refused.output and "--fallback paper" in refused.output
        assert not (out / "corpus.jsonl").exists()
        [reject] = rows_of(out / "rejects.jsonl")
        assert reject["rows"] == [1, 3] and reject["reason"] == "it is a refusal"
        assert reject["attempts"] == 2 and "can't help" in reject["answer"]
        assert server.asked["bad one"] == 2
        hint = server.requests[-1]["messages"][0]["content"]
        assert "bad one" not in hint or "could not be used because it is a refusal" in hint

        assert ask(server, corpus, "--fallback", "paper").exit_code == 0
        pool = {prompt.text for prompt in load_pool("paper").prompts}
        prompts = [row["contextual_prompt"] for row in rows_of(out / "corpus.jsonl")]
        assert prompts[0] == prompt_for("fine one") and prompts[2] == prompt_for("fine two")
        assert prompts[1] in pool and prompts[1] == prompts[3]
        assert ledger_of(corpus)["fallback"] == "paper"
        assert ledger_of(corpus)["rows_rejected"] == 2

        assert ask(server, corpus, "--drop-rejects").exit_code == 0
        assert [row["text"] for row in rows_of(out / "corpus.jsonl")] == ["fine one", "fine two"]
        assert server.asked["bad one"] == 2

        server.behave = lambda text, before: GOOD
        assert ask(server, corpus, "--retry-rejects").exit_code == 0
        assert server.asked == {"bad one": 3, "fine one": 1, "fine two": 1}
        assert len(rows_of(out / "corpus.jsonl")) == 4
        assert not (out / "rejects.jsonl").exists()


def test_a_limit_that_cut_answers_off_is_named_to_the_user_and_not_to_the_model(tmp_path):
    corpus = make_corpus(tmp_path, 1)
    with serve(Loopback(behave=lambda text, before: "<think>Let me see")) as server:
        refused = ask(server, corpus, "--attempts", 2)
    assert refused.exit_code == 1 and "a higher --max-output-tokens" in refused.output
    [reject] = rows_of(tmp_path / "out" / "rejects.jsonl")
    assert reject["reason"] == "it ended inside its reasoning"
    again = server.requests[1]["messages"][0]["content"]
    assert "because it ended inside its reasoning. Write another." in again


def test_a_library_caller_needs_no_command_line(tmp_path):
    path = make_corpus(tmp_path, 5)
    corpus = Corpus(str(path), open_corpus(str(path), Field(), streamed=False))
    plan, told = PromptOptions(style="strategies").plan(), []

    @contextmanager
    def progress(label, total, done):
        yield lambda meter: told.append((label, total, done + meter.settled))

    assert estimate(corpus, plan, Endpoint()).lines["requests (distinct texts)"] == 5
    with serve(Loopback()) as server:
        endpoint = Endpoint("m", server.url, request={"temperature": 0})
        said = generate(corpus, tmp_path / "out", plan, endpoint, progress=progress)
        assert server.requests[0]["temperature"] == 0
        asked = len(server.requests)
        again = generate(corpus, tmp_path / "out", plan, endpoint, Closing(format_="parquet"))
        assert len(server.requests) == asked == 5
    assert "5 rows written" in said.said and "5 rows written" in again.said
    assert told[-1] == ("Prompts", 5, 5)
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row[PROMPT_COLUMN] for row in rows] == [prompt_for(row["text"]) for row in rows]
    assert pq.read_table(tmp_path / "out" / "corpus.parquet").to_pylist() == rows
    with pytest.raises(CFTError, match="name the model of the endpoint"):
        generate(corpus, tmp_path / "other", plan, Endpoint())


def test_formats_types_and_order_are_kept(tmp_path):
    texts = ["first", "", "second 🫀", None, "first"]
    expected = [prompt_for(t) if t else None for t in texts]
    rows = [{"text": t, "n": i, "tags": ["a", "b"][: i % 3]} for i, t in enumerate(texts)]
    table = pa.Table.from_pylist(rows).set_column(1, "n", pa.array(range(5), pa.int16()))
    with serve(Loopback()) as server:
        for folder in ("gz", "parquet", "folder"):
            (tmp_path / folder).mkdir()
        zipped = tmp_path / "gz" / "corpus.jsonl.gz"
        with gzip.open(zipped, "wt", encoding="utf-8") as file:
            file.write("\n\n".join(json.dumps(row) for row in rows))
        assert ask(server, zipped).exit_code == 0
        written = rows_of(tmp_path / "gz" / "out" / "corpus.jsonl")
        assert written == [
            row | {"contextual_prompt": p, "contextual_prompt_shown": 1.0 if p else None}
            for row, p in zip(rows, expected, strict=True)
        ]
        assert ask(server, zipped, "--format", "parquet").exit_code == 0
        assert pq.read_table(tmp_path / "gz" / "out" / "corpus.parquet").to_pylist() == written

        source = tmp_path / "parquet" / "corpus.parquet"
        pq.write_table(table, source)
        assert ask(server, source).exit_code == 0
        result = pq.read_table(tmp_path / "parquet" / "out" / "corpus.parquet")
        assert result.schema.field("n").type == pa.int16()
        assert result.schema.field("contextual_prompt_shown").type == pa.float64()
        added = ["contextual_prompt", "contextual_prompt_shown"]
        assert result.drop_columns(added).equals(table)
        assert result["contextual_prompt"].to_pylist() == expected

        for name, part in (("a.parquet", table[:2]), ("b.parquet", table[2:])):
            pq.write_table(part, tmp_path / "folder" / name)
        out = tmp_path / "elsewhere"
        assert (
            run(
                tmp_path / "folder", "--model", "m", "--base-url", server.url, "--output-dir", out
            ).exit_code
            == 0
        )
        assert pq.read_table(out / "corpus.parquet").equals(result)
    assert server.asked == {"first": 3, "second 🫀": 3}  # three runs, equal texts asked for once


@pytest.mark.slow
def test_a_hub_dataset_is_downloaded_once(tmp_path, monkeypatch):
    """A local folder in the hub's layout, opened by the loader that opens the hub's datasets."""
    import datasets

    hub = tmp_path / "hub"
    hub.mkdir()
    write_jsonl(hub / "train.jsonl", [{"text": f"Text {i}.", "n": i} for i in range(2100)])
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    opened = []
    for name in ("load_dataset", "load_dataset_builder"):
        real = getattr(datasets, name)

        def local(corpus, *more, real=real, name=name, **options):
            assert corpus == "someone/corpus"
            opened.append((name, options.get("streaming")))
            return real(str(hub), *more, **options)

        monkeypatch.setattr(datasets, name, local)
    with serve(Loopback()) as server:
        arguments = ("--model", "m", "--base-url", server.url, "--output-dir", tmp_path / "out")
        result = run("someone/corpus", *arguments, "--concurrency", 64)
    assert result.exit_code == 0, result.output
    # To look at the column, and to read it: the second time it is in the cache of `datasets`.
    assert opened == [("load_dataset_builder", None), ("load_dataset", False)] * 2
    assert len(list((tmp_path / "cache").rglob("*.arrow"))) == 1
    written = pq.read_table(tmp_path / "out" / "corpus.parquet")
    assert written["n"].to_pylist() == list(range(2100))
    assert written["contextual_prompt"].to_pylist() == [
        prompt_for(f"Text {i}.") for i in range(2100)
    ]


def test_a_generated_corpus_is_read_by_the_plugin(tmp_path, sentencepiece_tokenizer):
    import datasets
    from encoder import encoder_for

    corpus = make_corpus(tmp_path, 12)
    with serve(Loopback()) as server:
        assert ask(server, corpus, "--format", "parquet").exit_code == 0
    path = tmp_path / "out" / "corpus.parquet"
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    prompts = {"column": "contextual_prompt"}
    encoder = encoder_for(sentencepiece_tokenizer, sequence_len=512, prompts=prompts)
    rows = encoder.encode(
        loaded["text"], [{"contextual_prompt": p} for p in loaded["contextual_prompt"]]
    )
    assert len(rows) == 12 and encoder.ledger.prompts_truncated == 0
    for row, text in zip(rows, loaded["text"], strict=True):
        ids = sentencepiece_tokenizer(prompt_for(text) + "\n\n")["input_ids"]
        assert row.segments[0].context.tolist() == ids


def test_estimate_asks_nothing_and_needs_no_key(tmp_path, sentencepiece_tokenizer, monkeypatch):
    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    monkeypatch.setitem(sys.modules, "openai", None)
    corpus = write_jsonl(
        tmp_path / "corpus.jsonl",
        [{"text": "A short text."}] * 3 + [{"text": "It is long. " * 999}],
    )
    arguments = (corpus, "--estimate", "--max-input-tokens", 200, "--output-dir", tmp_path / "out")
    rough = run(*arguments)
    assert rough.exit_code == 0, rough.output
    assert "Four characters" in rough.output
    exact = run(*arguments, "--tokenizer", tmp_path / "tokenizer")
    for output in (rough.output, exact.output):
        assert "rows" in output and " 4 " in output and " 2 " in output and " 1 " in output
    assert not (tmp_path / "out").exists()


def test_missing_extra_key_model_and_column_each_give_one_sentence(tmp_path, monkeypatch):
    corpus = make_corpus(tmp_path, 2)
    out = ("--output-dir", tmp_path / "out")
    no_key = run(corpus, "--model", "m", *out)
    assert no_key.exit_code == 1 and "OPENAI_API_KEY is not set" in no_key.output
    no_model = run(corpus, *out)
    assert no_model.exit_code == 2 and "--model" in no_model.output
    no_column = run(corpus, "--model", "m", "--field", "body", *out)
    assert no_column.exit_code == 1 and "'body'" in no_column.output
    twice = write_jsonl(tmp_path / "twice.jsonl", [{"text": "a", "contextual_prompt": "b"}])
    assert "has a column 'contextual_prompt' already" in run(twice, "--model", "m", *out).output
    assert "does not exist" in run(tmp_path / "no.jsonl", "--model", "m", *out).output
    assert "not JSON" in run(corpus, "--request", "{", *out).output
    monkeypatch.setitem(sys.modules, "openai", None)
    no_extra = run(corpus, "--model", "m", *out, OPENAI_API_KEY="k")
    assert no_extra.exit_code == 1 and "pip install axolotl-cft[generate]" in no_extra.output


def test_half_an_emoji_is_survived(tmp_path, sentencepiece_tokenizer):
    sentencepiece_tokenizer.save_pretrained(tmp_path / "tokenizer")
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"text": "Hearts \ud83d beat. " * 40}])
    answer = "Follow the beat \ud83e of the heart."
    with serve(Loopback(behave=lambda text, before: answer)) as server:
        more = ("--tokenizer", tmp_path / "tokenizer", "--max-input-tokens", 100)
        result = ask(server, corpus, *more)
    assert result.exit_code == 0, result.output
    [row] = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert row["contextual_prompt"] == "Follow the beat ? of the heart."
    assert row["text"] == "Hearts \ud83d beat. " * 40


def test_requests_carry_the_instruction_the_options_and_the_key(tmp_path):
    corpus = make_corpus(tmp_path, 1)
    with serve(Loopback()) as server:
        arguments = ("--model", "m", "--base-url", server.url, "--max-output-tokens", 99)
        for index, more in enumerate(
            [[], ["--style", "strategies"], ["--request", '{"temperature": 0, "max_tokens": 7}']]
        ):
            out = tmp_path / f"out{index}"
            result = run(corpus, *arguments, *more, "--output-dir", out, OPENAI_API_KEY="k1")
            assert result.exit_code == 0, result.output
    plain, strategic, tuned = server.requests
    assert "encourages a reader to focus on the main ideas" in plain["messages"][0]["content"]
    assert "Text number 0 tells" in plain["messages"][0]["content"]
    assert plain["model"] == "m" and plain["max_tokens"] == 99 and "temperature" not in plain
    names = [prompt.strategy for prompt in load_pool("paper").prompts]
    assert sum(name in strategic["messages"][0]["content"] for name in names) == 1
    assert tuned["temperature"] == 0 and tuned["max_tokens"] == 7
    assert server.keys == {"Bearer k1"}


def test_openais_own_endpoint_gets_the_newer_name_of_the_limit(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    fields = {"timeout": 1.0, "max_output_tokens": 5, "request": {}}
    assert Client("m", None, **fields)._body == {"max_completion_tokens": 5}
    assert Client("m", "http://127.0.0.1:1/v1", **fields)._body == {"max_tokens": 5}


@pytest.mark.slow
def test_ten_kills_lose_nothing_and_change_nothing(tmp_path):
    corpus = make_corpus(tmp_path, 300)
    dice = random.Random(20250312)
    concurrency = 8
    with serve(Loopback(latency=0.02)) as server:

        def start(output: str) -> subprocess.Popen:
            more = ["--concurrency", str(concurrency), "--output-dir", str(tmp_path / output)]
            return subprocess.Popen(
                [*COMMAND, str(corpus), "--model", "m", "--base-url", server.url, *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OPENAI_API_KEY": "k"},
            )

        whole = start("whole")
        assert whole.wait(120) == 0
        assert sum(server.asked.values()) == 300
        server.asked.clear()

        moments = sorted(dice.sample(range(5, 290), 10))
        for moment in moments:
            process = start("killed")
            while sum(server.asked.values()) < moment and process.poll() is None:
                time.sleep(0.001)
            time.sleep(dice.random() * 0.03)
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL, "it was meant to be killed half-way"
        process = start("killed")
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output.decode()
    name = "corpus.jsonl"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert set(server.asked) == {
        f"Text number {i} tells of cells and their order." for i in range(300)
    }
    assert sum(server.asked.values()) <= 300 + 10 * concurrency


def test_an_input_that_changes_under_the_run_is_refused(tmp_path):
    corpus = make_corpus(tmp_path, 6)
    content = corpus.read_text()
    with serve(Loopback()) as server:
        for changed in (content.replace("number 5", "number five"), content * 2, content[:200]):
            corpus.write_text(content)
            server.on_request = lambda text, changed=changed: corpus.write_text(changed)
            output = tmp_path / f"out{len(changed)}"
            result = ask(server, corpus, "--concurrency", 1, "--output-dir", output)
            assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
            assert not (output / "corpus.jsonl").exists()
            server.on_request = lambda text: None
            corpus.write_text(content)
            assert ask(server, corpus, "--output-dir", output).exit_code == 0
