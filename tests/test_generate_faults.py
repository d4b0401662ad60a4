"""`generate` against endpoints as they are: limits, outages, refusals, and what is no endpoint.

Real HTTP on 127.0.0.1. Seconds are scaled, except where a test is marked slow.
"""

import heapq
import importlib
import json
import math
import random
import ssl
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import (
    CUT,
    DRIP,
    ERRORS,
    FAILING,
    GOOD,
    KEEP_ALIVE,
    PERMANENT,
    PROXY_PAGE,
    RATE_LIMITED,
    REFUSED,
    REFUSING,
    RESET,
    WEB_PAGE,
    Limit,
    Loopback,
    completion,
    free_port,
    prompt_for,
    serve,
    serve_bytes,
)

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.address import read_address
from axolotl_cft.generation.answers import Answer, Answers, Keys
from axolotl_cft.generation.breaker import FIRST, IN_A_ROW, Breaker, HopelessError
from axolotl_cft.generation.faults import local_trouble, read_retry_after
from axolotl_cft.generation.gate import Gate, Spacing, Waits
from axolotl_cft.generation.hiding import hide_secrets, redact, secrets_in
from axolotl_cft.generation.run import Endpoint
from axolotl_cft.generation.verdicts import Reply, Verdict
from axolotl_cft.generation.workers import Job, Meter, ask_all

SCALE = 20
"""By how much the seconds of a real run are shortened."""


def judge(reply: Reply) -> Verdict:
    bad = {"length": "it was cut off", "stop": None}[reply.finish]
    return Verdict(reply.text, "it is a refusal" if "sorry" in reply.text else bad)


def settle(
    folder: Path,
    urls: str | tuple[str, ...],
    count: int,
    *,
    concurrency: int = 16,
    attempts: int = 1,
    scale: float = SCALE,
    show: Callable[[Meter], None] = lambda meter: None,
    **options: object,
) -> dict[str, Answer]:
    """Ask about texts "text 0", … and return what became of them by text."""
    endpoint = Endpoint("m", urls, **options)
    jobs = [Job(f"text {i}", f"<text>\ntext {i}\n</text>", judge) for i in range(count)]
    answers = Answers(folder / "answers.sqlite")
    before = answers.read(job.key for job in jobs).values()
    waits = Waits(Waits.first / scale, Waits.longest / scale)
    try:
        ask_all(
            jobs,
            answers,
            lambda: endpoint.clients(waits),
            concurrency=concurrency,
            attempts=attempts,
            show=show,
            proven=any(answer.usable for answer in before),
        )
        return answers.read(job.key for job in jobs)
    finally:
        answers.close()


def complete(entries: dict[str, Answer], count: int) -> bool:
    """Whether every text has its own answer."""
    return {key: entry.text for key, entry in entries.items() if entry.usable} == {
        f"text {i}": prompt_for(f"text {i}") for i in range(count)
    }


def run(
    corpus: Path, *more: object, env: dict[str, str] | None = None, color: bool = False
) -> Result:
    clean = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": "", **(env or {})}
    arguments = ["generate", corpus, "--model", "m", "--output-dir", corpus.parent / "out", *more]
    return CliRunner().invoke(main, [*map(str, arguments)], env=clean, color=color)


def make_corpus(folder: Path, count: int) -> Path:
    return write_jsonl(folder / "corpus.jsonl", [{"text": f"text {i}"} for i in range(count)])


# What the endpoint will not have


@pytest.mark.parametrize("mood", REFUSED)
def test_a_text_that_the_endpoint_refuses_becomes_a_reject(tmp_path, mood):
    def behave(text: str, before: int) -> str:
        return mood if text == "text 3" else GOOD

    with serve(Loopback(behave=behave)) as server:
        entries = settle(tmp_path, server.url, 30, attempts=3)
        assert server.asked["text 3"] == 1  # it would be refused again
    refused = entries.pop("text 3")
    status, error = ERRORS[mood]
    assert refused.reject == f"the endpoint refused it with {status}: {error['message']}"
    assert len(entries) == 29 and all(entry.usable for entry in entries.values())


@pytest.mark.parametrize("mood", [PERMANENT, "402", "403", "404", "no credit"])
def test_what_is_wrong_for_every_text_stops_at_once(tmp_path, mood):
    with serve(Loopback(behave=lambda text, before: mood)) as server:
        with pytest.raises(CFTError, match=ERRORS[mood][1]["message"]):
            settle(tmp_path, server.url, 30, concurrency=2)
        assert sum(server.asked.values()) <= 2


def test_an_endpoint_that_refuses_the_first_texts_refuses_all(tmp_path):
    with serve(Loopback(behave=lambda text, before: "422")) as server:
        with pytest.raises(HopelessError, match="first 20 texts all failed.* 422: Input should"):
            settle(tmp_path, server.url, 100, concurrency=4)
        assert sum(server.asked.values()) <= FIRST + 2 * 4
        (tmp_path / "few").mkdir()
        assert len(settle(tmp_path / "few", server.url, FIRST - 1)) == FIRST - 1


def test_answers_that_all_fail_for_one_reason_stop_the_run_before_the_money_is_gone(tmp_path):
    cut_off = completion("Look closely at", finish="length")
    bad = False
    with serve(Loopback(behave=lambda text, before: cut_off if bad else GOOD)) as server:
        settle(tmp_path, server.url, 40)
        bad, asked = True, sum(server.asked.values())
        reason = f"last {IN_A_ROW} texts all failed for one reason: it was cut off"
        with pytest.raises(HopelessError, match=reason):
            settle(tmp_path, server.url, 2000, concurrency=8, attempts=3)
        assert 3 * IN_A_ROW <= sum(server.asked.values()) - asked <= 3 * (IN_A_ROW + 8)


def test_a_stretch_of_hard_texts_does_not_count_once_for_each_attempt(tmp_path):
    def behave(text: str, before: int) -> str:
        return REFUSING if 30 <= int(text.split()[1]) < 55 else GOOD

    with serve(Loopback(behave=behave)) as server:
        entries = settle(tmp_path, server.url, 80, concurrency=4, attempts=3)
    assert sum(not entry.usable for entry in entries.values()) == 25


def test_the_breaker_goes_by_reasons_and_not_by_their_numbers():
    breaker = Breaker(proven=True)
    for tokens in range(IN_A_ROW - 1):
        breaker.note(f"it is too long: {1000 + tokens:,} tokens where 128 are allowed")
        breaker.settle("too long")
    breaker.note("it is a list")
    breaker.settle("it is a list")
    for _ in range(IN_A_ROW - 1):
        breaker.note("it is empty")
        breaker.settle("it is empty")
    assert not breaker.tripped
    breaker.note("it is empty")
    assert breaker.tripped
    breaker.note(None)  # of another worker, too late
    with pytest.raises(HopelessError, match="it is empty"):
        breaker.settle("it is empty")


def test_a_stopped_run_and_many_rejects_are_said_with_what_to_do(tmp_path):
    corpus = make_corpus(tmp_path, 60)
    dice = {f"text {i}" for i in range(0, 60, 12)}
    with serve(Loopback(behave=lambda text, before: "422")) as server:
        stopped = run(corpus, "--base-url", server.url, "--concurrency", 4)
        assert stopped.exit_code == 1 and "add --retry-rejects" in stopped.output
        server.behave = lambda text, before: "413" if text in dice else GOOD
        more = ("--drop-rejects", "--retry-rejects")
        result = run(corpus, "--base-url", server.url, *more, color=True)
    assert result.exit_code == 0, result.output
    red = "\x1b[31m\x1b[1m5 of 60 answers were rejected (8.3%)"
    assert red in result.stderr and "rejects.jsonl" in result.stderr
    assert len((tmp_path / "out" / "corpus.jsonl").read_text().splitlines()) == 55


# What passes


def timed(folder: Path, server: Loopback, count: int, scale: float, **more: object) -> float:
    importlib.import_module(
        "openai.resources.chat"
    )  # it takes seconds, which are none of the run's
    begin = time.perf_counter()
    entries = settle(folder, server.url, count, concurrency=64, scale=scale, **more)
    taken = time.perf_counter() - begin
    assert complete(entries, count)
    return taken


@pytest.mark.parametrize("retry_after", [0.2, None])
def test_a_limit_is_found_and_kept_without_a_herd(tmp_path, retry_after):
    scale = 5  # at a twentieth, the machine would be a limit of its own
    limit = Limit(per_second=8 * scale)
    with serve(Loopback(limit=limit, latency=0.2, retry_after=retry_after)) as server:
        timed(tmp_path, server, 120, scale)
    # 64 workers that each tried again by themselves would be turned away a thousand times.
    assert 0 < limit.turned_away < 200


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("retry_after", [1, None])
def test_eight_requests_a_second_are_used_to_85_percent(tmp_path, retry_after):
    limit = Limit(per_second=8)
    with serve(Loopback(limit=limit, latency=1.0, retry_after=retry_after)) as server:
        taken = timed(tmp_path, server, 480, 1)
    print(f"{taken:.1f} s, {limit.turned_away} turned away")
    assert taken <= 1.15 * ((480 - limit.burst) / 8 + 1)
    assert limit.turned_away < 150


def outage(folder: Path, seconds: float, scale: float) -> float:
    """503 for so long, in the middle of a run: how long all took."""
    begin = time.monotonic() + 1 / scale

    def behave(text: str, before: int) -> str:
        return "503" if 0 < time.monotonic() - begin < seconds else GOOD

    with serve(Loopback(latency=1 / scale, behave=behave)) as server:
        taken = timed(folder, server, 192, scale)
        # One probe at a time: an endpoint that comes up again is not buried under requests.
        assert sum(server.asked.values()) < 192 + 64 + 3 * seconds * scale
    return taken


def test_an_outage_is_waited_out(tmp_path):
    outage(tmp_path, 60 / SCALE, SCALE)


@pytest.mark.slow
@pytest.mark.long
def test_a_minute_of_503_costs_little_more_than_a_minute(tmp_path):
    assert outage(tmp_path, 60, 1) <= 1.15 * (1 + 60 + 3)


def closed_port(folder: Path, seconds: float, scale: float) -> tuple[float, list[str]]:
    server, seen = Loopback(port=free_port(), latency=1 / scale), []
    over = threading.Event()

    def open_later() -> None:
        time.sleep(seconds)
        with serve(server):
            over.wait(120)

    thread = threading.Thread(target=open_later)
    thread.start()
    try:
        show = lambda meter: seen.append(f"{meter.retries} {meter.waiting}")  # noqa: E731
        taken = timed(folder, server, 192, scale, show=show)
    finally:
        over.set()
        thread.join()
    return taken, seen


def test_a_closed_port_is_waited_out_and_the_bar_shows_it(tmp_path):
    _, seen = closed_port(tmp_path, 60 / SCALE, SCALE)
    retries = [int(line.split()[0]) for line in seen]
    assert retries[0] == 0 and len(set(retries)) > 3 and retries == sorted(retries)


@pytest.mark.slow
@pytest.mark.long
def test_a_port_closed_for_a_minute_costs_little_more_than_a_minute(tmp_path):
    taken, seen = closed_port(tmp_path, 60, 1)
    assert taken <= 1.15 * (60 + 3)
    assert any("waiting" in line and "Connect" in line for line in seen)


def test_the_users_limits_are_kept(tmp_path):
    limit = Limit(per_second=40, burst=5)
    with serve(Loopback(limit=limit)) as server:
        begin = time.monotonic()
        settle(tmp_path, server.url, 40, requests_per_minute=25 * 60)
        assert time.monotonic() - begin >= 39 / 25 - 0.05
        assert limit.turned_away == 0
        server.limit = None
        (tmp_path / "tokens").mkdir()
        begin = time.monotonic()
        # 120 tokens a request are billed; what was guessed before the first answer is put right.
        settle(tmp_path / "tokens", server.url, 60, tokens_per_minute=120 * 60 * 60)
        assert time.monotonic() - begin >= 0.8


def test_patience_decides_about_a_long_retry_after_and_says_so(tmp_path):
    behave = lambda text, before: RATE_LIMITED  # noqa: E731
    with serve(Loopback(behave=behave, retry_after="3600")) as server:
        begin = time.monotonic()
        with pytest.raises(
            CFTError, match="429: slow down; it asks to wait 3,600 s, and the run's"
        ):
            settle(tmp_path, server.url, 5)
        assert time.monotonic() - begin < 5
        assert len(server.requests) <= 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "30"}, 30),
        ({"retry-after": "Fri, 31 Dec 2099 23:59:59 +99999999999999"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
        (
            {
                "date": "Fri, 21 Nov 2025 10:00:00 GMT",
                "retry-after": "Fri, 21 Nov 2025 10:00:42 GMT",
            },
            42,
        ),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, seconds):
    assert read_retry_after(headers) == seconds


def test_a_date_to_come_back_at_is_honoured(tmp_path):
    then = datetime.now(timezone.utc) + timedelta(seconds=2)
    times = []
    server = Loopback(
        behave=lambda text, before: RATE_LIMITED if before == 0 else GOOD,
        on_request=lambda text: times.append(datetime.now(timezone.utc)),
        retry_after=format_datetime(then.replace(microsecond=0), usegmt=True),
    )
    with serve(server):
        assert complete(settle(tmp_path, server.url, 1), 1)
    assert times[1] >= then - timedelta(seconds=1.1)
    assert times[1] - times[0] >= timedelta(seconds=0.9)


@pytest.mark.parametrize("mood", [RESET, PROXY_PAGE, DRIP, KEEP_ALIVE, WEB_PAGE, CUT])
def test_an_answer_that_does_not_come_whole_is_asked_for_again(tmp_path, mood):
    def behave(text: str, before: int) -> str:
        return mood if text in ("text 1", "text 7") and before == 0 else GOOD

    with serve(Loopback(behave=behave)) as server:
        begin = time.monotonic()
        assert complete(settle(tmp_path, server.url, 12, timeout=1.0), 12)
        assert time.monotonic() - begin < 8
        assert server.asked["text 1"] == server.asked["text 7"] == 2


def test_a_timeout_below_the_latency_ends_with_a_sentence_about_it(tmp_path):
    said = r"no whole answer within 0.2 s \(the timeout\); no answer came within"
    with serve(Loopback(latency=2.0)) as server, pytest.raises(CFTError, match=said):
        settle(tmp_path, server.url, 3, timeout=0.2, patience=0.02)


def test_one_text_on_which_the_endpoint_fails_does_not_hold_the_others(tmp_path):
    def behave(text: str, before: int) -> str:
        return FAILING if text == "text 5" else GOOD

    with serve(Loopback(behave=behave, latency=0.02)) as server:
        entries = settle(tmp_path, server.url, 400, concurrency=4)
        (tmp_path / "alone").mkdir()
        alone = settle(tmp_path / "alone", server.url, 12, concurrency=1, patience=0.01)
    for found, count in ((entries, 400), (alone, 12)):
        assert "500: overloaded, and so" in found.pop("text 5").reject
        assert len(found) == count - 1 and all(e.usable for e in found.values())


# Several endpoints


def test_endpoints_share_the_work_and_one_that_dies_loses_nothing(tmp_path):
    with serve(Loopback(latency=0.02)) as stays:
        with serve(Loopback(latency=0.02)) as dies:
            urls = (stays.url, dies.url)
            assert complete(settle(tmp_path, urls, 100), 100)
            shares = [len(server.requests) for server in (stays, dies)]
            assert sum(shares) == 100 and min(shares) > 30
        (tmp_path / "later").mkdir()
        assert complete(settle(tmp_path / "later", urls, 100), 100)
        dead = f"http://127.0.0.1:{free_port()}/v1"
        (tmp_path / "paused").mkdir()
        stays.behave = lambda text, before: "503" if len(stays.requests) % 50 == 0 else GOOD
        assert complete(settle(tmp_path / "paused", (dead, stays.url), 100), 100)


def test_an_endpoint_that_refuses_its_key_leaves_its_work_to_the_others_and_is_named(tmp_path):
    corpus = make_corpus(tmp_path, 40)
    with serve(Loopback()) as good, serve(Loopback(behave=lambda text, n: PERMANENT)) as bad:
        result = run(corpus, "--base-url", bad.url, "--base-url", good.url, "--concurrency", 4)
        assert result.exit_code == 0, result.output
        assert f"warning: {bad.url} refused the request with 401" in result.stderr
        good.behave = lambda text, before: PERMANENT
        alone = run(corpus, "--output-dir", tmp_path / "b", "--base-url", bad.url, env=None)
        assert alone.exit_code == 1
        both = run(
            corpus, "--output-dir", tmp_path / "c", env={"OPENAI_BASE_URL": f"{bad.url} {good.url}"}
        )
        assert both.exit_code == 1 and "refused the request with 401" in both.output


# What is no endpoint


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\x01\x02 binary \xff\n"])
def test_a_server_of_another_protocol_is_named_as_one(tmp_path, greeting):
    said = "not HTTP .*is it an OpenAI-compatible endpoint"
    with serve_bytes(greeting) as url, pytest.raises(CFTError, match=said):
        settle(tmp_path, url, 3)


def test_a_web_page_is_named_as_none(tmp_path):
    # Ten are enough; answers that were already under way are counted with them.
    said = r"not a chat completion, 1\d times and never anything"
    page = Loopback(behave=lambda text, before: WEB_PAGE)
    with serve(page) as server, pytest.raises(CFTError, match=said):
        settle(tmp_path, server.url, 3)


@pytest.mark.parametrize(
    "usage",
    [
        *("many", None, [], 7, {"prompt_tokens": "12", "completion_tokens": None}),
        *({"prompt_tokens": -5}, {"prompt_tokens": True, "completion_tokens": [1]}),
        {"prompt_tokens": 1.5},
    ],
)
def test_a_usage_of_the_wrong_type_counts_nothing(tmp_path, usage):
    reply = completion("Look closely.") | {"usage": usage, "model": 7}
    with serve(Loopback(behave=lambda text, before: reply)) as server:
        entries = settle(tmp_path, server.url, 2)
    assert [(e.tokens_in, e.tokens_out) for e in entries.values()] == [(0, 0)] * 2


def test_odd_replies_are_no_crash(tmp_path):
    odd = [{"choices": {"a": 1}}, {"choices": [{"message": "x"}]}, {"choices": [None]}, {}]
    odd.append({"choices": [{"message": {"content": 7, "refusal": ["x"]}, "finish_reason": None}]})

    def behave(text: str, before: int) -> object:
        return odd[before] if before < 4 else GOOD

    with serve(Loopback(behave=behave)) as server:
        assert complete(settle(tmp_path, server.url, 2), 2)
        server.behave = lambda text, before: odd[4]
        (tmp_path / "b").mkdir()
        assert all(entry.text == "" for entry in settle(tmp_path / "b", server.url, 2).values())


# Addresses and secrets


def test_addresses_with_a_path_ipv6_a_password_and_a_query(tmp_path):
    host = "::1"
    with serve(Loopback(host=host)) as server:
        url = f"http://me:s3cr%40t-pw@[{host}]:{server.port}/openai/v1/?api-version=2024-06-01&code=qu3ry/%25"
        corpus = make_corpus(tmp_path, 3)
        secret = {"api_key": "b0dy-secret", "extra": {"authToken": "n3sted-secret"}}
        more = ("--base-url", url, "--request", json.dumps({"temperature": 0, **secret}))
        done = run(corpus, *more, env={"OPENAI_API_KEY": "the-key-1234"})
        assert done.exit_code == 0, done.output
        assert server.paths == {"/openai/v1/chat/completions?api-version=2024-06-01&code=qu3ry/%25"}
        assert server.keys == {"Basic bWU6czNjckB0LXB3"}
        assert server.requests[0]["api_key"] == "b0dy-secret"

        said = "bad: s3cr@t-pw, qu3ry/%, qu3ry%2F%25, b0dy-secret, n3sted-secret, the-key-1234"
        said += ", bWU6czNjckB0LXB3" + "x" * (395 - len(said)) + "the-key-1234"
        ERRORS["echo"] = (401, {"message": said})
        server.behave = lambda text, before: "echo"
        failed = run(
            corpus, *more, "--output-dir", tmp_path / "b", env={"OPENAI_API_KEY": "the-key-1234"}
        )
        assert failed.exit_code == 1 and f"http://[{host}]:{server.port}/openai/v1" in failed.output
    paths = [*tmp_path.glob("*/*.json*"), *tmp_path.glob("*/*.sqlite")]
    files = [path.read_bytes().decode("latin-1") for path in paths]
    assert len(files) >= 4
    for text in (*files, done.output, failed.output):
        for hidden in ("s3cr", "qu3ry", "b0dy-secret", "n3sted-secret", "the-", "bWU6", "me:"):
            assert hidden not in text, (hidden, text)


@pytest.mark.parametrize(
    "wrong",
    [
        *("localhost:8000/v1", "ftp://host/v1", "http://", "http://host:notaport/v1"),
        *("http://[::1/v1", "", "me:hunter22@host:8000", "http://me:hunter22@:80x/v1?a=hunter22"),
    ],
)
def test_a_base_url_that_is_none_is_refused_without_its_secrets(wrong):
    with pytest.raises(CFTError, match="write it like http://localhost:8000/v1") as caught:
        read_address(wrong)
    assert "hunter22" not in str(caught.value)


def test_secrets_are_told_from_settings():
    fields = {
        "temperature": 0,
        "max_tokens": 5,
        "stop_token_ids": [1, 2],
        "return_tokens_as_token_ids": True,
        "api_key": "k",
        "X-Api-Key": "k2",
        "headers": {"Authorization": "Bearer abc", "trace": "Bearer abcd"},
        "callbacks": ["https://me:pw@host/x", "https://host/x?sig=1", "https://host/x"],
        "password": None,
    }
    hidden = hide_secrets(fields)
    assert hidden == fields | {
        "api_key": "(hidden)",
        "X-Api-Key": "(hidden)",
        "headers": {"Authorization": "(hidden)", "trace": "(hidden)"},
        "callbacks": ["(hidden)", "(hidden)", "https://host/x"],
    }
    assert hide_secrets("sk-proj-Z9Z9Z9Z9") == "(hidden)"
    assert {"k", "k2", "Bearer abc", "Bearer abcd"} <= secrets_in(fields)
    assert redact("key abcdef and abc", {"abcdef", "abc"}) == "key (hidden) and abc"


def test_a_key_decides_nothing_about_an_answer_and_everything_else_does():
    fields = {"temperature": 0, "api_key": "0ld-secret"}
    known = Keys("m", fields).of("A message.")
    assert known == Keys("m", fields | {"api_key": "new-secret"}).of("A message.")
    others = [
        Keys("n", fields).of("A message."),
        Keys("m", fields | {"temperature": 1}).of("A message."),
        Keys("m", {"temperature": 0}).of("A message."),
        Keys("m", fields).of("A message"),
        Keys("m", fields).of("A message.\ud83d"),
    ]
    assert len({known, *others}) == 6 and all(len(key) == 32 for key in others)


def test_an_untrusted_certificate_is_trouble_of_this_machine():
    broken = ssl.SSLCertVerificationError(1, "certificate verify failed")
    broken.verify_message = "self-signed certificate"
    outer = ConnectionError("no connection")
    outer.__cause__ = broken
    assert "self-signed certificate" in str(local_trouble(outer))
    assert local_trouble(ConnectionResetError(104, "reset")) is None


@pytest.mark.parametrize(
    ("key", "words"),
    [("sk-näïve", "character 5 is no letter"), ("sk-a\nb", "character 5"), (" sk-ok\r\n", None)],
)
def test_a_key_that_cannot_be_sent_is_not_blamed_on_the_endpoint(tmp_path, key, words):
    with serve(Loopback()) as server:
        result = run(
            make_corpus(tmp_path, 1), "--base-url", server.url, env={"OPENAI_API_KEY": key}
        )
        assert len(server.requests) == (words is None)
    if words is None:
        assert server.keys == {"Bearer sk-ok"}
    else:
        assert result.exit_code == 1 and "OPENAI_API_KEY cannot be sent" in result.output
        assert words in result.output and key not in result.output
        assert server.url not in result.output


def test_fields_that_are_no_json_are_not_blamed_on_the_endpoint(tmp_path):
    corpus = make_corpus(tmp_path, 1)
    result = run(corpus, "--base-url", "http://127.0.0.1:1/v1", "--request", '{"top_p": NaN}')
    assert result.exit_code == 2 and "NaN is no number in JSON" in result.output
    with pytest.raises(CFTError, match="cannot be sent as JSON"):
        settle(tmp_path, "http://127.0.0.1:1/v1", 1, request={"top_p": float("nan")})


@pytest.mark.parametrize("mood", ["too large", "flagged"])
def test_a_text_that_is_too_large_or_flagged_is_its_own_trouble(tmp_path, monkeypatch, mood):
    words = "Request too large on tokens per min: Limit 30000, Requested 45000"
    monkeypatch.setitem(ERRORS, "too large", (429, {"message": words}))
    monkeypatch.setitem(ERRORS, "flagged", (403, {"message": "your input was flagged"}))
    with serve(Loopback(behave=lambda text, before: mood if text == "text 3" else GOOD)) as server:
        if mood == "flagged":  # nothing was answered before, so that it may be the key
            server.behave = lambda text, before: mood
            with pytest.raises(CFTError, match="flagged"):
                settle(tmp_path, server.url, 20, concurrency=1)
            server.behave = lambda text, before: mood if text == "text 3" else GOOD
        entries = settle(tmp_path, server.url, 20, concurrency=1)
        assert server.asked["text 3"] == 1
    [reject] = [entry.reject for entry in entries.values() if not entry.usable]
    assert ERRORS[mood][1]["message"] in reject and len(entries) == 20


def test_a_key_that_is_revoked_under_way_still_stops_the_run(tmp_path):
    def behave(text: str, before: int) -> str:
        return "403" if int(text.split()[1]) >= 30 else GOOD

    with serve(Loopback(behave=behave)) as server:
        with pytest.raises(HopelessError, match=f"last {IN_A_ROW} texts all failed.* 403"):
            settle(tmp_path, server.url, 300, concurrency=4)
        assert sum(server.asked.values()) <= 30 + IN_A_ROW + 2 * 4


def test_two_texts_in_a_row_on_which_the_endpoint_fails_stop_no_run_of_one_worker(tmp_path):
    bad = {"text 5", "text 6"}
    with serve(Loopback(behave=lambda text, before: FAILING if text in bad else GOOD)) as server:
        entries = settle(tmp_path, server.url, 10, concurrency=1, patience=0.01)
    assert {key for key, entry in entries.items() if not entry.usable} == bad


def test_a_run_that_had_answers_before_is_not_told_to_check_its_address(tmp_path):
    with serve(Loopback()) as server:
        settle(tmp_path, server.url, 3)
        server.behave = lambda text, before: "503"
        server.retry_after = None
        with pytest.raises(CFTError, match="run's patience") as caught:
            settle(tmp_path, server.url, 4, concurrency=1, patience=0.005)
    assert "check the address" not in str(caught.value)


def test_languages_are_learned_before_the_first_request(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "py3langid", raising=False)
    known = []

    def behave(text: str, before: int) -> str:
        known.append("py3langid" in sys.modules)
        return GOOD

    with serve(Loopback(behave=behave)) as server:
        assert run(make_corpus(tmp_path, 1), "--base-url", server.url).exit_code == 0
    assert known == [True]


# The gate, with a clock of the test's


def make_gate(**limits: float) -> Gate:
    per_minute = (limits.get("requests"), limits.get("tokens"))
    return Gate(Waits(), *map(Spacing, per_minute))


def test_a_pause_is_shared_and_ends_in_no_burst():
    gate = make_gate()
    sent = [gate.enter(0.01 * i, 1) for i in range(64)]
    for i, permit in enumerate(sent[8:]):  # eight of them get through
        gate.limited(permit, 0.7 + 0.005 * i, 1.0)
    assert 1.7 <= gate.opens(0.8) <= 2.0
    now = gate.until
    rates = []
    for _ in range(8):
        gate.enter(now, 1)
        rates.append(gate.opens(now) - now)
        now = gate.opens(now)
    assert 0.1 < rates[0] < 0.4 and sum(rates) > 0.8


def test_a_single_429_among_many_answers_sets_no_pace():
    gate = make_gate()
    sent = [gate.enter(0.01 * i, 1) for i in range(64)]
    gate.limited(sent[-1], 1.0, 0.05)
    assert gate.opens(1.0) == 1.05 and gate.pace(2.0) is None


def test_429s_that_come_by_chance_leave_half_of_what_once_got_through():
    """A third of the requests is told to come later, at any pace: others use up the quota, too."""
    dice, gate, under_way = random.Random(1), make_gate(), []
    now, sent, answered = 0.0, 0, 0
    while answered < 300:
        opens = gate.opens(now) if len(under_way) < 32 else math.inf
        if opens <= now:
            limited = dice.random() < 0.35
            sent += 1
            ends = now + (0.05 if limited else 1.0)
            heapq.heappush(under_way, (ends, sent, gate.enter(now, 1), limited))
        elif under_way and under_way[0][0] <= opens:
            now, _, permit, limited = heapq.heappop(under_way)
            if limited:
                gate.limited(permit, now, None)
            else:
                gate.answered(permit, None)
                answered += 1
            gate.leave(permit)
        else:
            now = opens
    assert answered / now > 1.5


def test_out_of_service_one_probe_goes_and_the_others_wait():
    gate = make_gate()
    sent = [gate.enter(0.0, 1) for _ in range(64)]
    shared = [gate.failed(permit, 0.1, None) for permit in sent]
    assert shared.index(True) == 9 and all(shared[9:])
    for permit in sent:
        gate.leave(permit)
    assert 0.1 < gate.until <= 0.6
    waits = []
    for _ in range(8):
        now = gate.until
        probe = gate.enter(now, 1)
        assert gate.opens(now) == float("inf")
        gate.failed(probe, now, None)
        gate.leave(probe)
        waits.append(gate.until - now)
    assert waits[0] < 2 * waits[1] and 3.0 <= waits[-1] <= 4.0
    probe = gate.enter(gate.until, 1)
    gate.answered(probe, None)
    gate.leave(probe)
    assert gate.opens(gate.until) == gate.until and gate.in_flight == 0


def test_an_answer_to_an_earlier_request_ends_an_outage_before_the_probe_does():
    gate = make_gate()
    sent = [gate.enter(0.0, 1) for _ in range(11)]
    assert [gate.failed(permit, 0.1, None) for permit in sent[:10]][-1]
    probe = gate.enter(gate.until, 1)
    assert gate.opens(gate.until) == float("inf")
    gate.answered(sent[10], None)
    assert gate.opens(gate.until) == gate.until
    gate.leave(probe)
    assert gate.opens(gate.until) == gate.until


def test_limits_space_requests_evenly_and_learn_what_was_used():
    gate = make_gate(requests=120, tokens=6000)
    permit = gate.enter(10.0, 100)
    assert 10.97 <= gate.opens(10.0) <= 11.0  # a hundred tokens a second
    gate.answered(permit, 40)
    assert 10.47 <= gate.opens(10.0) <= 10.5  # two requests a second


@contextmanager
def few_files(limit: int):
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_open_files_are_not_blamed_on_the_endpoint(tmp_path):
    with serve(Loopback(latency=0.5)) as server:
        open_files = len([*Path("/proc/self/fd").iterdir()])  # with the server's
        with few_files(open_files + 40), pytest.raises(CFTError, match="ulimit -n"):
            settle(tmp_path, server.url, 64, concurrency=64)


def test_answers_go_on_being_durable_while_endpoints_fail(tmp_path):
    moods = [GOOD, RATE_LIMITED, REFUSING, "503", CUT, PROXY_PAGE]

    def behave(text: str, before: int) -> str:
        return moods[(int(text.split()[1]) + before) % len(moods)]

    with serve(Loopback(behave=behave)) as server:
        entries = settle(tmp_path, server.url, 60, attempts=3)
    assert complete(entries, 60)
    with closing(Answers(tmp_path / "answers.sqlite")) as answers:
        assert len(answers) == 60 and answers.read(entries) == entries
