"""Requests as files and answers from files, exchanged with a batch service played by a loopback."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import (
    GOOD,
    REFUSING,
    Loopback,
    answer_for,
    completion,
    passage_for,
    prompt_for,
    text_of,
)
from test_educate import medqa, question

from axolotl_cft.cli import main
from axolotl_cft.generation import batch as batches
from axolotl_cft.generation.completions import read_completion

TEXTS = [f"Text number {i} tells of cells and their order." for i in range(40)]
CLEAN = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": ""}


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(main, [command, *map(str, arguments)], env=CLEAN)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def play(requests: Path, mood=lambda text: GOOD) -> list[dict]:
    """What a service makes of a file of requests, in an order of its own.

    Args:
        requests: the file.
        mood: text -> "good", a status, "expired", or an answer.
    """
    answers = []
    for number, line in enumerate(lines_of(requests)):
        assert line["method"] == "POST" and line["url"] == "/v1/chat/completions"
        assert len(line["custom_id"]) <= 64 and set(line) == {"custom_id", "method", "url", "body"}
        [message] = line["body"]["messages"]
        text = text_of(message["content"])
        said, error, status = mood(text), None, 200
        good = answer_for(message["content"])
        body: object = completion(good if said == GOOD else str(said))
        if isinstance(said, int):
            status, body = said, {"error": {"message": f"status {said}", "code": "x"}}
        elif isinstance(body, dict):
            body["id"] = f"chatcmpl-{requests.stem}-{number}"
        response = {"status_code": status, "request_id": f"r{number}", "body": body}
        if said == "expired":
            response, error = None, {"code": "batch_expired", "message": "It took too long."}
        key = {"id": f"{requests.stem}-{number}", "custom_id": line["custom_id"]}
        answers.append({**key, "response": response, "error": error})
    random.Random(7).shuffle(answers)
    return answers


class Corpus:
    """A corpus, and the exchange of its requests."""

    def __init__(self, folder: Path, texts: list[str]) -> None:
        self.folder, self.out = folder, folder / "out"
        self.path = write_jsonl(folder / "corpus.jsonl", [{"text": text} for text in texts])

    def generate(self, *more: object) -> Result:
        return run("generate", self.path, "--model", "m", "--output-dir", self.out, *more)

    def export(self, name: str, *more: object) -> list[dict]:
        result = self.generate("--export-batch", self.folder / name, *more)
        assert result.exit_code == 0, result.output
        return lines_of(self.folder / name)

    def answer(self, name: str, answers: list[dict], *more: object) -> Result:
        path = write_jsonl(self.folder / name, answers)
        return self.generate("--import-batch", path, *more)

    def prompts(self) -> list[str]:
        return [row["contextual_prompt"] for row in lines_of(self.out / "corpus.jsonl")]

    def ledger(self) -> dict:
        return json.loads((self.out / "generation.json").read_text())


def test_a_round_trip_makes_the_rows_that_an_endpoint_makes(tmp_path):
    corpus = Corpus(tmp_path, [*TEXTS, TEXTS[0], "\u2028 odd \ud83d one."])
    requests = corpus.export("requests.jsonl", "--request", '{"temperature": 0}')
    assert len(requests) == 41
    slash = corpus.export("slash.jsonl", "--base-url", "https://api.openai.com/v1/")
    assert "max_completion_tokens" in slash[0]["body"]
    assert requests[0]["body"]["max_completion_tokens"] == 2048
    assert requests[0]["body"]["model"] == "m" and requests[0]["body"]["temperature"] == 0
    assert not (corpus.out / "corpus.jsonl").exists()
    same = ("--request", '{"temperature": 0}', "--price-in", "0.5", "--price-out", "2")
    done = corpus.answer("answers.jsonl", play(tmp_path / "requests.jsonl"), *same)
    assert done.exit_code == 0, done.output
    assert "41 usable answers" in done.output and "42 rows written" in done.output
    assert corpus.prompts()[:41] == [prompt_for(text) for text in [*TEXTS, TEXTS[0]]]
    assert corpus.ledger()["answers"]["answered_by"] == {"loopback-1 in a batch": 41}
    assert corpus.ledger()["answers"]["tokens_in"] == 4100 and corpus.ledger()["cost"] > 0


def test_what_is_missing_is_exported_again_and_nothing_else(tmp_path):
    troubles = dict(zip(TEXTS, ["expired", 500, 429, REFUSING], strict=False))

    def mood(text: str) -> object:
        return (
            "I'm sorry, but I can't help with that."
            if troubles.get(text) == REFUSING
            else (troubles.get(text, GOOD))
        )

    corpus = Corpus(tmp_path, TEXTS)
    corpus.export("first.jsonl")
    came = play(tmp_path / "first.jsonl", mood)
    partial = corpus.answer("half.jsonl", came[:20])
    assert partial.exit_code == 1 and "of 40 answers are still missing" in partial.output
    assert "--export-batch writes their requests" in partial.output
    doubled = [*came, *came[5:9], {"custom_id": "of another run", "response": came[0]["response"]}]
    path = write_jsonl(tmp_path / "all.jsonl", doubled)
    path.write_text(path.read_text() + '{"custom_id": "cut o')
    again = corpus.generate("--import-batch", path)
    assert again.exit_code == 1 and "4 of 40 answers are still missing" in again.output
    assert "3 failed lines" in again.output and "1 answers to other requests" in again.output
    assert "1 lines that are none of a batch" in again.output
    before = (corpus.out / "answers.sqlite").read_bytes()
    assert corpus.generate("--import-batch", path).exit_code == 1
    assert (corpus.out / "answers.sqlite").read_bytes() == before  # known lines count once

    rest = corpus.export("rest.jsonl")
    assert {text_of(line["body"]["messages"][0]["content"]) for line in rest} == set(troubles)
    hints = [line for line in rest if "because it is a refusal" in json.dumps(line)]
    assert len(hints) == 1
    done = corpus.answer("rest-answers.jsonl", play(tmp_path / "rest.jsonl"))
    assert done.exit_code == 0, done.output
    assert corpus.prompts() == [prompt_for(text) for text in TEXTS]
    answers = corpus.ledger()["answers"]
    assert (answers["accepted"], answers["asked_again"]) == (40, 1)
    assert answers["tokens_in"] == 41 * 100  # what was refused was billed as well
    nothing = corpus.generate("--export-batch", tmp_path / "none.jsonl")
    assert nothing.exit_code == 0 and "40 rows written" in nothing.output
    assert not (tmp_path / "none.jsonl").exists()


def test_texts_that_are_refused_are_given_up_as_at_an_endpoint(tmp_path):
    bad = TEXTS[3]
    corpus = Corpus(tmp_path, TEXTS[:5])
    corpus.export("requests.jsonl")
    came = play(tmp_path / "requests.jsonl", lambda text: 400 if text == bad else GOOD)
    result = corpus.answer("answers.jsonl", came)
    assert result.exit_code == 1 and "1 of 5 rows got no usable answer" in result.output
    assert "refused it with 400: status 400" in (corpus.out / "rejects.jsonl").read_text()
    assert corpus.generate("--fallback", "paper", "--export-batch", tmp_path / "x").exit_code == 0
    assert len(corpus.prompts()) == 5
    [again] = corpus.export("retry.jsonl", "--retry-rejects")
    assert "could not be used" not in json.dumps(again)
    under_way = corpus.answer("none.jsonl", came[:2], "--retry-rejects", "--drop-rejects")
    assert under_way.exit_code == 1 and "1 of 5 answers are still missing" in under_way.output
    done = corpus.answer("done.jsonl", play(tmp_path / "retry.jsonl"), "--retry-rejects")
    assert done.exit_code == 0 and corpus.prompts()[3] == prompt_for(bad)


@pytest.mark.parametrize("body", [None, {"error": {"message": "EngineCore encountered an issue"}}])
def test_a_job_that_broke_down_gives_no_text_up(tmp_path, body):
    corpus = Corpus(tmp_path, TEXTS)
    requests = corpus.export("requests.jsonl")
    for attempt in range(4):
        response = {"status_code": 400, "request_id": f"r{attempt}", "body": body}
        came = [
            {
                "id": f"{attempt}-{number}",
                "custom_id": line["custom_id"],
                "response": response,
                "error": "EngineCore encountered an issue",
            }
            for number, line in enumerate(requests)
        ]
        result = corpus.answer(f"answers{attempt}.jsonl", came)
        assert result.exit_code == 1 and "40 of 40 answers are still missing" in result.output
        assert "EngineCore encountered" in result.output
    assert "could not be used" not in json.dumps(corpus.export("again.jsonl"))


def test_a_later_bad_answer_replaces_no_good_one(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:3])
    corpus.export("requests.jsonl")
    good = play(tmp_path / "requests.jsonl")
    bad = play(tmp_path / "requests.jsonl", lambda text: "I'm sorry, but I can't help with that.")
    for line in bad:
        line["id"] += "-later"
    assert corpus.answer("answers.jsonl", [*good, *bad]).exit_code == 0
    assert corpus.prompts() == [prompt_for(text) for text in TEXTS[:3]]
    answers = corpus.ledger()["answers"]
    assert (answers["asked_again"], answers["tokens_in"]) == (0, 600)  # all were billed


def test_answers_in_other_services_words_are_read(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:4])
    corpus.export("requests.jsonl")
    first, second, third, fourth = play(tmp_path / "requests.jsonl")
    first["error"] = {"code": None, "message": None}
    second["response"]["status_code"] = "200"
    third["response"]["body"] = json.dumps(third["response"]["body"])
    fourth["response"]["body"]["usage"] = {"prompt_tokens": 10**20, "completion_tokens": "9"}
    path = write_jsonl(tmp_path / "answers.jsonl", [first, second, third, fourth])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"[" * 200_000 + b"\n")
    done = corpus.generate("--import-batch", path)
    assert done.exit_code == 0, done.output
    assert "4 usable answers" in done.output and "1 lines that are none" in done.output


def test_many_files_are_taken_in_one_reading(tmp_path, monkeypatch):
    from axolotl_cft.corpus.writers import Corpus as Rows

    corpus = Corpus(tmp_path, TEXTS)
    corpus.export("requests.jsonl")
    came = play(tmp_path / "requests.jsonl")
    files = [write_jsonl(tmp_path / f"part{i}.jsonl", came[i::8]) for i in range(8)]
    read, real = [], Rows.texts
    monkeypatch.setattr(Rows, "texts", lambda self: read.append(1) or real(self))
    done = corpus.generate(*(word for file in files for word in ("--import-batch", file)))
    assert done.exit_code == 0 and "8 files: 40 usable answers" in done.output
    assert len(read) <= 3


def test_a_file_of_requests_is_no_file_of_answers(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:2])
    corpus.export("requests.jsonl")
    wrong = corpus.generate("--import-batch", tmp_path / "requests.jsonl")
    assert wrong.exit_code == 1 and "holds requests" in wrong.output


def test_a_key_that_a_service_repeats_is_kept_nowhere(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:2])
    requests = corpus.export("requests.jsonl")
    error = {"error": {"message": "Incorrect text of sk-proj-Z9Z9Z9Z9Z9, see there"}}
    came = [
        {"custom_id": line["custom_id"], "response": {"status_code": 400, "body": error}}
        for line in requests
    ]
    result = corpus.answer("answers.jsonl", came)
    assert result.exit_code == 1 and "rows got no usable answer" in result.output
    kept = [path.read_bytes() for path in corpus.out.iterdir() if path.is_file()]
    assert not any(b"sk-proj" in content for content in kept) and "sk-proj" not in result.output


def test_a_wrong_key_of_the_service_gives_no_text_up(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:5])
    corpus.export("requests.jsonl")
    for attempt in range(4):
        came = play(tmp_path / "requests.jsonl", lambda text: 401)
        result = corpus.answer(f"answers{attempt}.jsonl", came)
        assert result.exit_code == 1 and "5 of 5 answers are still missing" in result.output
        assert "5 failed lines (most often: 401: status 401)" in result.output


def test_files_are_split_where_the_service_would_refuse_them(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MOST_REQUESTS", 15)
    corpus = Corpus(tmp_path, TEXTS)
    assert len(corpus.export("requests.jsonl")) == 15
    parts = sorted(tmp_path.glob("requests*.jsonl"))
    assert [part.name for part in parts] == [
        "requests.2.jsonl",
        "requests.3.jsonl",
        "requests.jsonl",
    ]
    assert [len(lines_of(part)) for part in parts] == [15, 10, 15]
    again = corpus.generate("--export-batch", tmp_path / "requests.jsonl")
    assert again.exit_code == 1 and "a batch under way, or half of" in again.output
    (tmp_path / "requests.jsonl").unlink()
    again = corpus.generate("--export-batch", tmp_path / "requests.jsonl")
    assert again.exit_code == 1 and "requests.2.jsonl is there already" in again.output
    monkeypatch.setattr(batches, "MOST_REQUESTS", 1000)
    (tmp_path / "odd[1]").write_text("")
    (tmp_path / "odd[1].2").write_text("")
    odd = corpus.generate("--export-batch", tmp_path / "odd[1]")
    assert odd.exit_code == 1 and "odd[1] is there already" in odd.output
    (tmp_path / "odd[1]").unlink()
    odd = corpus.generate("--export-batch", tmp_path / "odd[1]")
    assert odd.exit_code == 1 and "odd[1].2 is there already" in odd.output
    size = sum(len(line) + 1 for line in parts[0].read_text().splitlines()) // 15
    monkeypatch.setattr(batches, "MOST_BYTES", 10 * size)
    assert 8 <= len(corpus.export("bytes.jsonl")) <= 10
    sizes = [part.stat().st_size for part in tmp_path.glob("bytes*.jsonl")]
    assert len(sizes) >= 4 and max(sizes) <= 10 * size


def test_items_are_exchanged_in_two_rounds(tmp_path):
    items = write_jsonl(tmp_path / "items.jsonl", medqa(range(6)))
    folder = tmp_path / "benchmarks" / "medqa"
    folder.mkdir(parents=True)
    write_jsonl(folder / "test.jsonl", medqa(range(100, 105)))
    base = [items, "--model", "m", "--tasks", "cft_medqa", "--data-dir", tmp_path / "benchmarks"]
    base += ["--output-dir", tmp_path / "out"]
    for name in ("texts", "prompts"):
        exported = run("educate", *base, "--export-batch", tmp_path / f"{name}.jsonl")
        assert exported.exit_code == 0, exported.output
        assert "6 requests written" in exported.output
        came = write_jsonl(tmp_path / f"{name}-came.jsonl", play(tmp_path / f"{name}.jsonl"))
        taken = run("educate", *base, "--import-batch", came)
        assert "6 usable answers" in taken.output
        assert taken.exit_code == (1 if name == "texts" else 0), taken.output
    rows = lines_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["text"] for row in rows] == [passage_for(question(i)).strip() for i in range(6)]
    assert [row["contextual_prompt"] for row in rows] == [prompt_for(row["text"]) for row in rows]


@pytest.mark.parametrize(
    "body",
    [None, [], "text", {"choices": []}, {"choices": {"a": 1}}, {"choices": [{"message": "x"}]}],
)
def test_odd_replies_are_failed_lines(tmp_path, body):
    corpus = Corpus(tmp_path, TEXTS[:2])
    requests = corpus.export("requests.jsonl")
    came = [
        {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}}
        for line in requests
    ]
    result = corpus.answer("answers.jsonl", came)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "2 failed lines (most often: a response that is no chat completion)" in result.output


def test_bad_files_and_options_each_give_one_sentence(tmp_path):
    corpus = Corpus(tmp_path, TEXTS[:2])
    garbage = tmp_path / "garbage.jsonl"
    garbage.write_bytes(b"\x00\xff nothing\n[1]\n" + corpus.path.read_bytes())
    wrong = corpus.generate("--import-batch", garbage)
    assert wrong.exit_code == 1 and "holds no line of a batch" in wrong.output
    assert corpus.generate("--import-batch", tmp_path / "no.jsonl").exit_code == 2
    both = corpus.generate("--import-batch", garbage, "--export-batch", tmp_path / "r.jsonl")
    assert both.exit_code == 2 and "two steps" in both.output
    secret = corpus.generate(
        "--export-batch", tmp_path / "r.jsonl", "--request", '{"api_key": "sk-1234567890"}'
    )
    assert secret.exit_code == 1 and "field api_key holds a key" in secret.output
    cached = corpus.generate(
        "--export-batch", tmp_path / "c.jsonl", "--request", '{"prompt_cache_key": "a"}'
    )
    assert cached.exit_code == 0
    assert not (tmp_path / "r.jsonl").exists() and "sk-1234567890" not in secret.output


def test_the_requests_are_those_that_an_endpoint_gets(tmp_path):
    from loopback_llm import serve

    corpus = Corpus(tmp_path, TEXTS[:3])
    with serve(Loopback()) as server:
        here = ("--base-url", server.url, "--request", '{"top_p": 0.5}')
        written = corpus.export("requests.jsonl", *here)
        assert corpus.generate(*here, "--concurrency", 1).exit_code == 0
    assert [line["body"] for line in written] == server.requests


def test_completions_are_read_alike_from_objects_and_from_json():
    from openai.types.chat import ChatCompletion

    from axolotl_cft.generation.batch_answers import _object

    for content in (completion("An answer."), completion("", "length")):
        assert read_completion(ChatCompletion.model_validate(content)) == read_completion(
            _object(content)
        )
