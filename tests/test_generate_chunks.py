"""A prompt for each chunk, from `generate` to training, on long and messy documents."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import write_jsonl
from encoder import encode, encoder_for
from host import host_config, prepare
from loopback_llm import GOOD, REFUSING, Loopback, prompt_for, serve, text_of
from test_pieces import LLAMA_3, byte_level, sentencepiece

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError

PROMPTS = {"column": "contextual_prompt"}
LENGTHS = {"sequence_len": 160, "prompt_budget": 100}


def own_prompt(text: str) -> str:
    """What the endpoint answers for a chunk, in the language of the text."""
    if not any("\u4e00" <= letter <= "\u9fff" for letter in text):
        return prompt_for(text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"请仔细阅读第{digest}段的内容，想一想它的各个部分之间有什么关系。"


def messy_documents() -> list[str | None]:
    """Long documents as they come: emoji, line ends of all kinds, marks, CJK, no spaces, blanks."""
    dice = random.Random(11)
    words = "the heart pumps blood. It wasn't believed (at first), in 1628; Harvey".split()  # noqa: SIM905
    signs = ["👩‍🔬", "👨‍👩‍👧‍👦", "🫀🇨🇭", "e\u0301\u0323", "\u00a0", "½", "—", "</s>", "\u200b"]
    breaks = [" "] * 8 + ["\n", "\n\n", "\r\n", "\t", "  ", "\u2028"]
    prose = "".join(dice.choice(words + signs) + dice.choice(breaks) for _ in range(700))
    chinese = "".join(dice.choices("東京大学心臓血液。、「」漢字", k=900))
    return [
        prose,
        chinese,
        "👩‍🔬" * 120,
        "nospaces" * 150,
        "short",
        " \n\t ",
        "",
        None,
        "one\n" + " " * 400 + "\nother" + "\n" * 300 + "end",
        "a\u0301" * 300,
        "short",
    ]


@pytest.fixture(scope="module", params=["Llama-2", "Llama-3", "GPT-2"])
def model(request, tmp_path_factory) -> Path:
    """The folder of a tokenizer, which is all of a model that is needed here."""
    make = {"Llama-2": sentencepiece, "Llama-3": lambda: byte_level(LLAMA_3), "GPT-2": byte_level}
    folder = tmp_path_factory.mktemp("model")
    make[request.param]().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def config_file(folder: Path, model: Path, **more: Any) -> Path:
    block = {"prompt_budget": more.pop("prompt_budget", LENGTHS["prompt_budget"])}
    block |= {"every": more.pop("every")} if "every" in more else {}
    config = {"base_model": str(model), "sequence_len": LENGTHS["sequence_len"], **more}
    path = folder / "generate.yml"
    path.write_text(yaml.safe_dump(config | {"cft": block}))
    return path


def run(server: Loopback, corpus: Path, out: Path, *more: object) -> Result:
    arguments = [corpus, "--model", "m", "--base-url", server.url, "--output-dir", out, *more]
    environment = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": ""}
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=environment)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def asked_texts(server: Loopback) -> set[str]:
    return {text_of(body["messages"][0]["content"]) for body in server.requests}


def test_every_chunk_in_training_stands_behind_its_own_prompt(tmp_path, model):
    from transformers import AutoTokenizer

    texts = messy_documents()
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"n": i, "text": t} for i, t in enumerate(texts)])
    with serve(Loopback(behave=lambda text, before: own_prompt(text))) as server:
        config = config_file(tmp_path, model)
        result = run(
            server, corpus, tmp_path / "out", "--config", config, "--max-input-tokens", 999
        )
    assert result.exit_code == 0, result.output
    written = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [(row["n"], row["text"]) for row in written] == list(enumerate(texts))

    tokenizer = AutoTokenizer.from_pretrained(model)
    shown = {own_prompt(text): text for text in asked_texts(server)}
    for row in written:
        if row["text"] and row["text"].strip():
            parts = [shown.get(prompt, "") for prompt in row["contextual_prompt"]]
            blank = {i for i, prompt in enumerate(row["contextual_prompt"]) if prompt is None}
            assert blank or "".join(parts) == row["text"]
            assert "\ufffd" not in "".join(parts)
            assert row["contextual_prompt_shown"] == 1.0
    assert written[5]["contextual_prompt"] == [None] * len(written[5]["contextual_prompt"])
    assert written[6]["contextual_prompt"] is None and written[7]["contextual_prompt_cut"] is None

    options = {"sequence_len": LENGTHS["sequence_len"], "prompt_budget": LENGTHS["prompt_budget"]}
    encoder = encoder_for(tokenizer, prompts=PROMPTS, **options)
    for row in written:
        made = encoder.encode([row["text"]], [row])
        prompts = row["contextual_prompt"] or []
        assert [r.segments[0].context.tolist() for r in made] == [
            tokenizer(p + "\n\n")["input_ids"] if p else bare(r, tokenizer, made)
            for p, r in zip(prompts, made, strict=True)
        ]
    bare_rows, none = encode(tokenizer, written, prompts="none", **options)
    _, own = encode(tokenizer, written, prompts=PROMPTS, **options)
    assert own.targets_digest == none.targets_digest and own.rows == len(bare_rows)
    assert own.tokens_shown == own.text_tokens and none.tokens_shown is None


def test_every_place_inside_a_row_has_its_own_prompt(tmp_path, tiny_model):
    """`cft.every`: the list has an entry for each place, written for the text behind it."""
    from transformers import AutoTokenizer

    places = {"every": 24, "sequence_len": 400}
    out = generated(tmp_path, tiny_model, **places)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    options = {**places, "prompt_budget": LENGTHS["prompt_budget"]}
    encoder = encoder_for(tokenizer, prompts=PROMPTS, **options)
    written = rows_of(out / "corpus.jsonl")
    for row in written:
        made, prompts = encoder.encode([row["text"]], [row]), row["contextual_prompt"] or []
        parts = [(place, part) for r in made for place, part in enumerate(r.segments)]
        for (place, part), prompt in zip(parts, prompts, strict=True):
            if prompt is not None:
                before = "\n\n" if place else ""
                ids = tokenizer(f"{before}{prompt}\n\n", add_special_tokens=False)["input_ids"]
                assert part.context.tolist() == [*encoder.frame.start, *ids][bool(place) :]
    assert encoder.ledger.rows < sum(len(row["contextual_prompt"] or []) for row in written)
    _, none = encode(tokenizer, written, prompts="none", **options)
    assert encoder.ledger.targets_digest == none.targets_digest
    with pytest.raises(CFTError, match=r"prompts in column .* cft\.every"):
        encode(tokenizer, written, prompts=PROMPTS, **{**options, "every": 25})


def bare(row: Any, tokenizer: Any, made: list[Any]) -> list[int]:
    """What stands before a chunk without a prompt."""
    if start := tokenizer("")["input_ids"]:
        return start
    before = made[row.chunk - 1].target[-1] if row.chunk else tokenizer.eos_token_id
    return [int(before)]


def generated(folder: Path, model: Path, *more: object, **config: Any) -> Path:
    """The folder with messy documents and their prompts."""
    corpus = write_jsonl(folder / "c.jsonl", [{"text": text} for text in messy_documents()])
    with serve(Loopback(behave=lambda text, before: own_prompt(text))) as server:
        path = config_file(folder, model, **config)
        result = run(server, corpus, folder / "out", "--config", path, *more)
    assert result.exit_code == 0, result.output
    return folder / "out"


@pytest.fixture(scope="module")
def prompted(tiny_model, tmp_path_factory) -> Path:
    """Messy documents with their prompts, as JSON lines, Parquet and for evaluation."""
    folder = tmp_path_factory.mktemp("prompted")
    out = generated(folder, tiny_model, eval_sequence_len=320)
    with serve(Loopback(behave=lambda text, before: own_prompt(text))) as server:
        again = ("--config", folder / "generate.yml")
        parquet = run(server, folder / "c.jsonl", out, *again, "--format", "parquet")
        test = run(server, folder / "c.jsonl", folder / "test", *again, "--part", "test")
    assert (parquet.exit_code, test.exit_code) == (0, 0)
    return folder


def trained_rows(dataset: Any) -> list[tuple[list[int], list[int]]]:
    return sorted(zip(dataset["input_ids"], dataset["labels"], strict=True))


@pytest.mark.slow
def test_the_host_trains_and_evaluates_on_lists(prompted, tiny_model, tmp_path):
    from transformers import AutoTokenizer

    def config(name: str, data: Path, prompts: Any) -> dict[str, Any]:
        test = {"path": str(prompted / "test" / "corpus.jsonl"), "type": "cft", "split": "train"}
        return host_config(
            tmp_path / name,
            tiny_model,
            data,
            sequence_len=LENGTHS["sequence_len"],
            eval_sequence_len=320,
            cft={"prompts": prompts, "prompt_budget": LENGTHS["prompt_budget"]},
            test_datasets=[test | {"cft": {"prompts": prompts}}],
        )

    tokenizer, digests = AutoTokenizer.from_pretrained(tiny_model), {"train": set(), "test": set()}
    for name, prompts in (
        ("corpus.jsonl", PROMPTS),
        ("corpus.parquet", PROMPTS),
        ("corpus.parquet", "none"),
    ):
        cfg, meta = prepare(config(f"{name} {prompts}", prompted / "out" / name, prompts))
        for part, folder, length in (
            (meta.train_dataset, "out", LENGTHS["sequence_len"]),
            (meta.eval_dataset, "test", 320),
        ):
            expected, _ = encode(
                tokenizer,
                rows_of(prompted / folder / "corpus.jsonl"),
                prompts=prompts,
                sequence_len=length,
                prompt_budget=LENGTHS["prompt_budget"],
            )
            assert trained_rows(part) == trained_rows(expected)
        for file in Path(cfg.dataset_prepared_path).glob("*.cft_ledger.json"):
            for entry in json.loads(file.read_text())["datasets"]:
                digests[entry["part"]].add(entry["ledger"]["targets_digest"])
    assert [len(found) for found in digests.values()] == [1, 1]


def test_processes_change_nothing(prompted, tiny_model, monkeypatch):
    from datasets import Dataset
    from encoder import strategy_for
    from transformers import AutoTokenizer

    from axolotl_cft.host import documents

    monkeypatch.setattr(documents, "BYTES_PER_PROCESS", 1)
    monkeypatch.setattr(documents, "BATCH_BYTES", 600)
    table = pq.read_table(prompted / "out" / "corpus.parquet")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    one, two = (
        strategy_for(tokenizer, prompts=PROMPTS, **LENGTHS).wrap_dataset(
            Dataset(table), process_count=count
        )
        for count in (1, 2)
    )
    assert one["input_ids"] == two["input_ids"] and one["labels"] == two["labels"]
    assert one.info.description == two.info.description


def test_a_stream_and_the_preview_read_lists(prompted, tiny_model, tmp_path):
    from datasets import Dataset
    from encoder import strategy_for
    from host import write_config
    from transformers import AutoTokenizer

    from axolotl_cft.preview.collect import collect

    rows = rows_of(prompted / "out" / "corpus.jsonl")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    whole, _ = encode(tokenizer, rows, prompts=PROMPTS, **LENGTHS)
    strategy = strategy_for(tokenizer, prompts=PROMPTS, **LENGTHS)
    streamed = list(strategy.wrap_dataset(Dataset.from_list(rows).to_iterable_dataset()))
    assert [row["input_ids"] for row in streamed] == whole["input_ids"]

    options = {"prompts": PROMPTS, "prompt_budget": LENGTHS["prompt_budget"]}
    data, length = prompted / "out" / "corpus.parquet", LENGTHS["sequence_len"]
    config = host_config(tmp_path, tiny_model, data, cft=options, sequence_len=length)
    (preview,) = collect(write_config(tmp_path / "config.yml", config), rows=2)
    assert any(line.startswith("prompts saw") for line in preview.ledger)
    shown = ["".join(text for text, _ in row.segments[0][1]) for row in preview.rows]
    prompts = rows[0]["contextual_prompt"]
    assert all(prompt in text for prompt, text in zip(prompts, shown, strict=False))
    assert len(shown) == 2 and prompts[0] != prompts[1]


AGAIN = "run `axolotl-cft generate --per chunk --config` again with this config"


@pytest.mark.parametrize(
    ("options", "change", "refused"),
    [
        ({"sequence_len": 159}, {}, r"document 1 has \d+ prompts in column .* for \d+ chunks"),
        ({"prompt_budget": 90}, {}, r"document 1 has \d+ prompts in column .* for \d+ chunks"),
        ({}, {"text": "edited"}, r"document 1 has \d+ prompts .* for 1 chunks; restore the text"),
        ({}, {"contextual_prompt": ["One."]}, "document 1 has 1 prompts .* for"),
        ({}, {"contextual_prompt": ["One."] * 99}, "document 1 has 99 prompts .* for"),
        ({}, {"contextual_prompt_cut": None}, "nothing in column 'contextual_prompt_cut'"),
    ],
)
def test_a_list_for_other_chunks_is_refused(prompted, tiny_model, options, change, refused):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    rows = rows_of(prompted / "out" / "corpus.jsonl")[:1]
    encode(tokenizer, rows, prompts=PROMPTS, **LENGTHS)
    with pytest.raises(CFTError, match=refused) as caught:
        encode(tokenizer, [rows[0] | change], prompts=PROMPTS, **{**LENGTHS, **options})
    assert str(caught.value).endswith(AGAIN)


def test_another_tokenizer_or_letter_is_refused_where_the_count_agrees(prompted, tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    row = rows_of(prompted / "out" / "corpus.jsonl")[4]
    assert row["text"] == "short" and len(row["contextual_prompt"]) == 1
    with pytest.raises(CFTError, match="document 1 has prompts .* for other chunks"):
        encode(byte_level(), [row], prompts=PROMPTS, **LENGTHS)
    with pytest.raises(CFTError, match="document 1 has prompts .* for other chunks"):
        encode(tokenizer, [row | {"text": "shorT"}], prompts=PROMPTS, **LENGTHS)
    # What is cut in the same way may be trained: the only chunk of a short text stays what it is.
    encode(tokenizer, [row], prompts=PROMPTS, sequence_len=500, prompt_budget=100)


def test_text_before_a_chunk_is_shown_and_said_to_be_no_part_of_it(tmp_path, tiny_model):
    text = " ".join(f"Word {i} is here." for i in range(200))
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": text}])
    with serve(Loopback()) as server:
        config = config_file(tmp_path, tiny_model)
        result = run(server, corpus, tmp_path / "out", "--config", config, "--context-chars", 30)
    assert result.exit_code == 0, result.output
    requests = [body["messages"][0]["content"] for body in server.requests]
    chunks = sorted((text_of(request) for request in requests), key=text.index)
    assert "".join(chunks) == text and len(chunks) > 5
    begin = 0
    for chunk in chunks:
        (request,) = [r for r in requests if text_of(r) == chunk]
        before = text[max(0, begin - 30) : begin]
        assert (f"<before>\n{before}\n</before>" in request) == bool(before)
        begin += len(chunk)
    assert json.loads((tmp_path / "out" / "generation.json").read_text())["context_chars"] == 30


def test_a_chunk_without_a_usable_answer_decides_its_row(tmp_path, tiny_model):
    texts = [" ".join(f"Word {i} is here." for i in range(100)), "Another text."]
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": text} for text in texts])

    def behave(text: str, before: int) -> str:
        return REFUSING if "Word 50 " in text else GOOD

    config, out = config_file(tmp_path, tiny_model), tmp_path / "out"
    with serve(Loopback(behave=behave)) as server:
        refused = run(server, corpus, out, "--config", config, "--attempts", 1)
        assert refused.exit_code == 1 and "1 of 2 rows" in refused.output
        [reject] = rows_of(out / "rejects.jsonl")
        assert reject["rows"] == [0]
        asked = len(server.requests)
        dropped = run(server, corpus, out, "--config", config, "--drop-rejects")
        assert dropped.exit_code == 0 and "1 left out" in dropped.output
        assert "and 1 of 2 rows with them (50.0%)" in dropped.stderr
        assert [row["text"] for row in rows_of(out / "corpus.jsonl")] == texts[1:]
        pooled = run(server, corpus, out, "--config", config, "--fallback", "paper")
        assert pooled.exit_code == 0 and len(server.requests) == asked
    first, second = rows_of(out / "corpus.jsonl")
    assert len(first["contextual_prompt"]) == asked - 1 and all(first["contextual_prompt"])
    assert 0.5 < first["contextual_prompt_shown"] < 1.0 == second["contextual_prompt_shown"]


def test_training_says_how_much_of_the_text_the_prompts_have_seen(tmp_path, tiny_model):
    from transformers import AutoTokenizer

    texts = [" ".join(f"Word {i} is here." for i in range(2000)), "Another text."]
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": text} for text in texts])
    config, tokenizer = config_file(tmp_path, tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    seen = {}
    with serve(Loopback()) as server:
        for per in ("document", "chunk"):
            out = tmp_path / per
            more = ("--config", config, "--per", per)
            assert run(server, corpus, out, *more).exit_code == 0
            rows = rows_of(out / "corpus.jsonl")
            assert isinstance(rows[0]["contextual_prompt"], str) == (per == "document")
            _, ledger = encode(tokenizer, rows, prompts=PROMPTS, **LENGTHS)
            seen[per] = (ledger.tokens_shown or 0) / ledger.text_tokens
            (line,) = [line for line in ledger.lines() if line.startswith("prompts saw")]
            assert f"({seen[per]:.1%})" in line
    words = len(tokenizer(texts[0])["input_ids"])
    assert seen["document"] == pytest.approx(3000 / words, rel=0.05) and seen["chunk"] == 1.0


def test_what_gets_a_prompt_follows_from_the_config_unless_said(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": "Another text. " * 300}])
    config = config_file(tmp_path, tiny_model)
    with serve(Loopback()) as server:
        kinds = {}
        for name, more in {
            "config": ("--config", config),
            "bare": (),
            "document": ("--config", config, "--per", "document"),
        }.items():
            assert run(server, corpus, tmp_path / name, *more).exit_code == 0
            (row,) = rows_of(tmp_path / name / "corpus.jsonl")
            kinds[name] = type(row["contextual_prompt"])
        assert kinds == {"config": list, "bare": str, "document": str}
        refused = run(server, corpus, tmp_path / "x", "--per", "chunk")
        assert refused.exit_code == 1 and "name it with --config" in refused.output
        counted = run(server, corpus, tmp_path / "y", "--config", config, "--estimate")
        assert "requests (distinct chunks)" in counted.output
        config.write_text(f"base_model: {tiny_model}\n")
        refused = run(server, corpus, tmp_path / "z", "--config", config)
        assert refused.exit_code == 1 and "sequence_len decides the chunks" in refused.output
        config.write_text(f"base_model: {tiny_model}\ntokenizer_type: LlamaTokenizer\n")
        refused = run(server, corpus, tmp_path / "z", "--config", config)
        assert refused.exit_code == 1 and "tokenizer_type makes a tokenizer" in refused.output


def test_chunks_are_cut_with_the_tokenizer_and_a_budget_of_the_training(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": "Another text. " * 300}])
    own = {"path": str(corpus), "type": "cft", "cft": {"prompt_budget": 90}}
    config = config_file(tmp_path, tiny_model, datasets=[own])
    byte_level().save_pretrained(tmp_path / "other")
    with serve(Loopback()) as server:
        for name, more, words in (
            ("a", ("--tokenizer", tmp_path / "other"), "--tokenizer would cut other chunks"),
            ("b", ("--prompt-budget", 80), "whose prompt_budget is 100 or 90"),
        ):
            refused = run(server, corpus, tmp_path / name, "--config", config, *more)
            assert refused.exit_code == 1 and words in refused.output
            per = ("--config", config, *more, "--per", "document")
            assert run(server, corpus, tmp_path / f"{name}-whole", *per).exit_code == 0
        asked = len(server.requests)
        for name, more in (("c", ("--tokenizer", tiny_model)), ("d", ("--prompt-budget", 90))):
            assert run(server, corpus, tmp_path / name, "--config", config, *more).exit_code == 0
        assert asked == 2 < len(server.requests)


def test_a_longer_document_or_other_chunks_pay_for_what_is_new_alone(tmp_path, tiny_model):
    sentences = [f"Word {i} is here." for i in range(400)]
    config, out = config_file(tmp_path, tiny_model), tmp_path / "out"
    whole = tmp_path / "whole"
    with serve(Loopback()) as server:
        corpus = write_jsonl(tmp_path / "c.jsonl", [{"text": " ".join(sentences[:200])}])
        assert run(server, corpus, out, "--config", config).exit_code == 0
        asked = len(server.requests)
        write_jsonl(corpus, [{"text": " ".join(sentences)}, {"text": "A new row stands here."}])
        assert run(server, corpus, out, "--config", config).exit_code == 0
        added = len(server.requests) - asked
        assert run(server, corpus, whole, "--config", config).exit_code == 0
        needed = len(server.requests) - added - asked
        assert added == needed - (asked - 1)  # the last chunk of the short one grew
        assert (out / "corpus.jsonl").read_bytes() == (whole / "corpus.jsonl").read_bytes()


def test_a_conversation_is_told_that_it_has_no_chunks():
    from axolotl_cft.core.choice import Document, FromColumn

    conversation = Document("chats", 3, b"key", {"p": ["One."], "p_cut": "0" * 32})
    with pytest.raises(CFTError, match="chats: document 3 .* a conversation is not cut"):
        FromColumn("p").offer(conversation, 0, 1, 1)
