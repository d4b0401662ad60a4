"""`generate --style active-reading`: strategies for each document, and a text for each of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import (
    CUT,
    GOOD,
    RATE_LIMITED,
    REFUSING,
    STRATEGIES,
    Loopback,
    completion,
    reading_for,
    serve,
    strategies_for,
)
from test_batch import lines_of, play

from axolotl_cft.cli import main
from axolotl_cft.core.sampling import text_key
from axolotl_cft.generation.instructions import APPLY_STRATEGY, NAME_STRATEGIES
from axolotl_cft.generation.strategies import strategies_in
from axolotl_cft.generation.verdicts import Reply, judge_reading, judge_strategies

STYLE = ("--style", "active-reading")
CLEAN = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": ""}
COMMAND = [sys.executable, "-c", "from axolotl_cft.cli import main; main()", "generate"]


def run(corpus: Path, *more: object) -> Result:
    arguments = [corpus, "--output-dir", corpus.parent / "out", *STYLE, *more]
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=CLEAN)


def ask(server: Loopback, corpus: Path, *more: object) -> Result:
    return run(corpus, "--model", "m", "--base-url", server.url, *more)


def text(number: int) -> str:
    return f"Text number {number} tells of cells and their order."


def make_corpus(folder: Path, numbers: range) -> Path:
    rows = [{"id": f"d{i}", "text": text(i), "licence": "CC0"} for i in numbers]
    return write_jsonl(folder / "corpus.jsonl", rows)


def ledger_of(corpus: Path) -> dict:
    return json.loads((corpus.parent / "out" / "generation.json").read_text())


def expected(numbers: range) -> list[dict]:
    """The rows that come of the loopback's answers."""
    return [
        {
            "id": f"d{number}",
            "licence": "CC0",
            "text": reading_for(f"{name}: {text(number)}"),
            "strategy": strategy,
            "document": text_key(text(number)).hex(),
        }
        for number in numbers
        for name, strategy in zip(
            STRATEGIES, strategies_in(strategies_for(text(number))), strict=True
        )
    ]


def test_each_document_is_studied_by_each_of_its_strategies(tmp_path):
    corpus = make_corpus(tmp_path, range(2))
    with serve(Loopback()) as server:
        done = ask(server, corpus, "--price-in", 1, "--price-out", 10)
        assert done.exit_code == 0, done.output
    assert "6 texts of 2 documents written" in done.output
    assert "Train on them with `cft: {prompts: none}`." in done.output
    rows = lines_of(tmp_path / "out" / "corpus.jsonl")
    assert rows == expected(range(2)) and len({row["text"] for row in rows}) == 6
    sent = [request["messages"][0]["content"] for request in server.requests]
    assert sum(message == NAME_STRATEGIES.format(text=text(0)) for message in sent) == 1
    [quiz] = [message for message in sent if "strategy:\nQuiz" in message and text(1) in message]
    assert re.fullmatch(r"Quiz\nFor \w+, step by step:\n1. Read.\n2. Write.", rows[4]["strategy"])
    assert quiz == APPLY_STRATEGY.format(strategy=rows[4]["strategy"], text=text(1))

    ledger = ledger_of(corpus)
    assert (ledger["command"], ledger["output"]) == ("active-reading", "corpus.jsonl")
    assert ledger["readings"] == {"documents": 2, "strategies": 6, "texts": 6, "rejects": {}}
    assert ledger["answers"]["tokens_in"] == 800 and ledger["cost"] == pytest.approx(0.0024)
    assert (ledger["rows_in"], ledger["rows_rejected"], ledger["rows_dropped"]) == (2, 0, 0)


def test_the_host_trains_on_the_texts_and_holds_documents_out_whole(tmp_path, tiny_model):
    from host import host_config, prepare
    from transformers import AutoTokenizer

    corpus = make_corpus(tmp_path, range(12))
    with serve(Loopback()) as server:
        assert ask(server, corpus).exit_code == 0
    made = tmp_path / "out" / "corpus.jsonl"
    options = {"prompts": "none", "holdout": 0.4, "holdout_by": "document"}
    data = [{"path": str(made), "type": "cft"}]
    config = host_config(tmp_path / "run", tiny_model, made, cft=options, datasets=data)
    _, meta = prepare(config | {"test_datasets": data})
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sides = [
        {tuple(label for label in labels if label != -100) for labels in rows["labels"]}
        for rows in (meta.train_dataset, meta.eval_dataset)
    ]
    documents: list[set[str]] = [set(), set()]
    for row in lines_of(made):
        ids = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        wanted = (*ids, tokenizer.eos_token_id)
        [side] = [side for side, targets in enumerate(sides) if wanted in targets]
        documents[side].add(row["document"])
    assert all(documents) and not documents[0] & documents[1]
    assert len(meta.train_dataset) + len(meta.eval_dataset) == 36


def test_what_goes_wrong_is_asked_again_told_why_and_left_out_on_demand(tmp_path):
    """A busy server, a cut line, junk, a cut answer, a refusal, a copy; two of them for good."""
    corpus = make_corpus(tmp_path, range(4))
    cut_off = completion(reading_for("x"), "length")
    first: dict[str, str | dict] = {
        text(0): RATE_LIMITED,
        f"Quiz: {text(0)}": CUT,
        text(1): "It is a text about cells. Read it twice.",
        f"Song: {text(1)}": cut_off,
        f"Quiz: {text(1)}": text(1),
    }
    for_good = {text(2): "Cells keep order.", f"Timeline: {text(3)}": REFUSING}

    def behave(task: str, before: int) -> str | dict:
        return for_good.get(task) or (GOOD if before else first.get(task, GOOD))

    with serve(Loopback(behave=behave)) as server:
        refused = ask(server, corpus, "--attempts", 2)
        assert refused.exit_code == 1 and "2 of 13 answers cannot be used" in refused.output
        assert "--retry-rejects asks again" in refused.output
        assert "--fallback" not in refused.output
        assert not (tmp_path / "out" / "corpus.jsonl").exists()
        dropped = ask(server, corpus, "--attempts", 2, "--drop-rejects")
        assert dropped.exit_code == 0, dropped.output
    assert all(server.asked[task] == 2 for task in [*first, *for_good])
    assert sum(server.asked.values()) == 13 + len(first) + len(for_good)
    told = "\n".join(request["messages"][0]["content"] for request in server.requests)
    for why, times in {
        "it names no strategies, each under a heading with ##. Write another.": 2,
        "it was cut off by the output limit": 1,
        "it copies the text": 1,
        "it is a refusal": 1,
    }.items():
        assert told.count(f"could not be used because {why}") == times
    rejects = lines_of(tmp_path / "out" / "rejects.jsonl")
    assert {(tuple(reject["rows"]), reject["attempts"]) for reject in rejects} == {
        ((2,), 2),
        ((3,), 2),
    }
    rows = lines_of(tmp_path / "out" / "corpus.jsonl")
    assert rows == [
        row
        for row in expected(range(4))
        if row["id"] != "d2" and row["text"] != reading_for(f"Timeline: {text(3)}")
    ]
    ledger = ledger_of(corpus)
    assert ledger["readings"] == {
        "documents": 4,
        "strategies": 9,
        "texts": 8,
        "rejects": {
            "it names no strategies, each under a heading with ##": 1,
            "it is a refusal": 1,
        },
    }
    assert (ledger["rows_rejected"], ledger["rows_dropped"]) == (2, 1)
    assert ledger["answers"]["asked_again"] == 5 and ledger["answers"]["retries"] == 2


def test_only_what_is_new_is_asked_for(tmp_path):
    corpus = make_corpus(tmp_path, range(2))
    with serve(Loopback()) as server:

        def took(*more: object) -> int:
            before = len(server.requests)
            done = ask(server, corpus, *more)
            assert done.exit_code == 0, done.output
            return len(server.requests) - before

        assert took("--limit", 1, "--strategies-per-document", 2) == 3
        first = lines_of(tmp_path / "out" / "first-1" / "corpus.jsonl")
        assert first == expected(range(1))[:2]
        assert took("--strategies-per-document", 2) == 3
        assert took() == 2
        whole = (tmp_path / "out" / "corpus.jsonl").read_bytes()
        assert took() == 0 and (tmp_path / "out" / "corpus.jsonl").read_bytes() == whole
        make_corpus(tmp_path, range(3))
        assert took() == 4
        assert took("--strategies-per-document", 1) == 0
    assert [row["id"] for row in lines_of(tmp_path / "out" / "corpus.jsonl")] == ["d0", "d1", "d2"]


def test_batches_come_in_two_rounds(tmp_path):
    corpus = make_corpus(tmp_path, range(2))
    named = run(corpus, "--model", "m", "--export-batch", tmp_path / "name.jsonl")
    assert named.exit_code == 0 and "2 requests written" in named.output
    assert "another export then writes the requests that apply them" in named.output
    came = write_jsonl(tmp_path / "named.jsonl", play(tmp_path / "name.jsonl"))
    half = run(corpus, "--model", "m", "--import-batch", came)
    assert half.exit_code == 1 and "2 usable answers" in half.output
    assert "For the texts that apply the strategies" in half.output
    assert "6 of 6 answers are still missing" in half.output
    applied = run(corpus, "--model", "m", "--export-batch", tmp_path / "apply.jsonl")
    assert applied.exit_code == 0 and "6 requests written" in applied.output
    assert "another export then" not in applied.output
    came = write_jsonl(tmp_path / "applied.jsonl", play(tmp_path / "apply.jsonl"))
    done = run(corpus, "--model", "m", "--import-batch", came)
    assert done.exit_code == 0, done.output
    assert lines_of(tmp_path / "out" / "corpus.jsonl") == expected(range(2))


def test_parquet_keeps_its_columns_and_types_and_the_text_may_have_any_name(tmp_path):
    table = pa.table(
        {
            "n": pa.array([7, 8, 9], pa.int16()),
            "body": [text(0), "", text(1)],
            "tags": [["a"], [], ["b", "c"]],
        }
    )
    pq.write_table(table, tmp_path / "corpus.parquet")
    with serve(Loopback()) as server:
        done = ask(server, tmp_path / "corpus.parquet", "--field", "body")
    assert done.exit_code == 0, done.output
    made = pq.read_table(tmp_path / "out" / "corpus.parquet")
    assert made.column_names == ["n", "tags", "text", "strategy", "document"]
    assert made.schema.field("n").type == pa.int16()
    assert made["n"].to_pylist() == [7] * 3 + [9] * 3
    assert made["text"].to_pylist() == [row["text"] for row in expected(range(2))]
    assert made["document"].to_pylist() == [row["document"] for row in expected(range(2))]


def test_with_a_config_each_chunk_is_a_document(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"id": "d0", "text": "One by one. " * 60}])
    config = {
        "base_model": str(tiny_model),
        "sequence_len": 192,
        "datasets": [{"path": str(corpus), "type": "cft"}],
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    with serve(Loopback()) as server:
        done = ask(server, corpus, "--config", tmp_path / "config.yml")
        assert done.exit_code == 0, done.output
        chunks = {task for task in server.asked if not task.startswith(STRATEGIES)}
        assert len(chunks) > 1 and max(map(len, chunks)) < 720
        whole = ask(
            server, corpus, "--config", tmp_path / "config.yml", "--per", "document",
            "--max-input-tokens", 60,
        )  # fmt: skip
        assert whole.exit_code == 0, whole.output
    ledger = ledger_of(corpus)
    assert ledger["readings"]["documents"] == 1 and ledger["answers"]["cut_texts"] == 1
    rows = lines_of(tmp_path / "out" / "corpus.jsonl")
    assert len({row["document"] for row in rows}) == 1 and len(rows) == 3


def test_an_estimate_asks_nobody(tmp_path):
    corpus = make_corpus(tmp_path, range(3))
    shown = run(corpus, "--estimate", "--strategies-per-document", 5)
    assert shown.exit_code == 0, shown.output
    assert "requests for strategies (distinct documents)" in shown.output
    assert (
        re.search(r"taken as 5 for each\)\W+15\b", shown.output) and not (tmp_path / "out").exists()
    )


def test_options_and_corpora_that_do_not_fit_are_refused_in_one_sentence(tmp_path):
    corpus = make_corpus(tmp_path, range(1))
    model = ("--model", "m")
    for more, said in (
        (("--prompt-budget", 64), "--prompt-budget is about prompts"),
        (("--fallback", "paper"), "--fallback is about prompts"),
        (("--style", "text", "--strategies-per-document", 2), "belongs to --style active-reading"),
    ):
        wrong = run(corpus, *model, *more)
        assert wrong.exit_code == 2 and said in " ".join(wrong.output.split()), wrong.output
    turns = [{"role": "user", "content": "Hello."}]
    write_jsonl(corpus, [{"text": turns}])
    chat = run(corpus, *model)
    assert chat.exit_code == 1 and "holds conversations" in chat.output
    write_jsonl(corpus, [{"text": text(0), "strategy": "mine"}])
    taken = run(corpus, *model)
    assert taken.exit_code == 1 and "has a column 'strategy' already" in taken.output


def test_prompts_and_texts_do_not_write_over_each_other(tmp_path):
    corpus = make_corpus(tmp_path, range(1))
    with serve(Loopback()) as server:
        assert ask(server, corpus).exit_code == 0
        asked = len(server.requests)
        prompts = ask(server, corpus, "--style", "text")
        assert prompts.exit_code == 1 and len(server.requests) == asked
    assert "holds what active-reading made of" in " ".join(prompts.output.split())


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    corpus, concurrency = make_corpus(tmp_path, range(20)), 4
    with serve(Loopback(latency=0.02)) as server:

        def start() -> subprocess.Popen:
            more = ["--concurrency", str(concurrency), "--output-dir", str(tmp_path / "out")]
            return subprocess.Popen(
                [*COMMAND, str(corpus), "--model", "m", "--base-url", server.url, *STYLE, *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OPENAI_API_KEY": "k"},
            )

        for moment in (10, 50):  # among the strategies, and among the texts
            process = start()
            while sum(server.asked.values()) < moment and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL, "it was meant to be killed half-way"
        process = start()
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output.decode()
    assert lines_of(tmp_path / "out" / "corpus.jsonl") == expected(range(20))
    assert 80 <= sum(server.asked.values()) <= 80 + 2 * concurrency


@pytest.mark.parametrize(
    ("answer", "strategies"),
    [
        ("Intro.\n\n## A\nDo a.\n\n### Step\nx\n\n## B\n---\n", ("A\nDo a.\n\n### Step\nx", "B")),
        ("# Strategies\n\n## A\n\n## B", ("A", "B")),
        ("## Strategies\n### A\na\n### B\nb\n# Last", ("A\na", "B\nb")),
        ("##A\n##B\n##B", ("A", "B")),
        ("# A\na\n# B\nb", ("A\na", "B\nb")),
        ("Here:\n1. **A**: a\n   - more\n2. **B**: b", ("**A**: a\n   - more", "**B**: b")),
        ("## Strategies\n1. A\n2. B", ("A", "B")),
        ("**A** a\n\n**B** b", ("**A** a", "**B** b")),
        ("- **A**: a\n- **B**: b", ("**A**: a", "**B**: b")),
        ("**1. A**\na\n**2. B**\nb", ("**1. A**\na", "**2. B**\nb")),
        ("## Only this\nDo it.", ("Only this\nDo it.",)),
        ("# A summary\nIt is about cells.", ()),
        ("It is about **cells** and order.\n\nIt ends.", ()),
        ("1. One point alone", ()),
        ("", ()),
    ],
)
def test_strategies_are_told_apart(answer, strategies):
    assert strategies_in(answer) == strategies


def test_a_list_of_strategies_is_judged_as_one():
    good = "```markdown\n## A\n## B\n```"
    assert judge_strategies(Reply(f"<think>Hm.</think>{good}")).complaint is None
    assert judge_strategies(Reply(good, "length")).complaint == "it was cut off by the output limit"
    assert judge_strategies(Reply("")).complaint == "it is empty"
    assert judge_strategies(Reply("I'm sorry, but I can't do that.")).complaint == "it is a refusal"


ENGLISH = (
    "The heart is a muscle that pumps blood through the body. It beats about seventy times a "
    "minute, and it does so without rest for as long as a person lives. Its four chambers fill "
    "and empty in turn, and the valves between them keep the blood from flowing back."
)
GERMAN = (
    "# Karteikarten\n\n- **Was ist das Herz?** Das Herz ist ein Muskel, der das Blut durch den "
    "Körper pumpt.\n- **Wie oft schlägt es?** Es schlägt etwa siebzig Mal in der Minute, und das "
    "ohne Pause, solange ein Mensch lebt.\n- **Wozu sind die Klappen da?** Sie sorgen dafür, dass "
    "das Blut nicht wieder zurück in die Kammern fließt."
)
STUDIED = (
    "**Flashcards**\n\n- What is the heart? A muscle that pumps blood through the body.\n"
    "- How often does it beat? About seventy times in each minute of a life.\n"
    "- Mnemonic: four rooms, one way. Das Herz, le cœur, el corazón."
)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (STUDIED, None),
        ("Four rooms, one way!", None),
        (ENGLISH, "it copies the text"),
        (f"Sure, here it is:\n\n{ENGLISH}", "it copies the text"),
        (GERMAN, "it is not in the language of the text"),
        (STUDIED + "<|im_end|>", "it holds the special token <|im_end|>"),
        (STUDIED + "[MINE]", "it holds the special token [MINE]"),
        ("I'm sorry, but I can't help with that.", "it is a refusal"),
        ("<think>Let me see", "it ended inside its reasoning"),
        (" \n", "it is empty"),
    ],
)
def test_a_text_may_have_any_form_but_must_be_one(answer, why):
    verdict = judge_reading(Reply(answer), text=ENGLISH, special=["[MINE]"])
    assert verdict.complaint == why
    if why is None:
        assert verdict.answer == answer
