"""A prompt for each conversation, from `generate` to `type: cft.chat` in the real host."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from host import host_config, prepare, write_config
from loopback_llm import GOOD, REFUSING, Loopback, prompt_for, serve, text_of
from test_contamination import run as contamination

from axolotl_cft.cli import main
from axolotl_cft.core.conversation_text import TurnKeys, conversation_text
from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import descriptions
from axolotl_cft.host.turns import turn_keys

CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"x": 1}'}}
SYSTEM = {"role": "system", "content": "You answer in one sentence."}
PROMPT = {"column": "contextual_prompt"}


def exchange(number: int) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"What does vessel {number} carry?"},
        {"role": "assistant", "content": f"Yes, vessel {number} carries blood to the heart."},
    ]


def as_sharegpt(turns: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    who, what = names.get("who", "from"), names.get("what", "value")
    roles = {"user": "human", "assistant": "gpt"}
    return [{who: roles.get(t["role"], t["role"]), what: t["content"]} for t in turns]


def generate(server: Loopback, corpus: Path, *more: object, out: str = "out") -> Result:
    arguments = [corpus, "--model", "m", "--base-url", server.url, *more]
    arguments += ["--output-dir", corpus.parent / out]
    environment = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OPENAI_MODEL": ""}
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], env=environment)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def texts_sent(server: Loopback) -> list[str]:
    return [text_of(request["messages"][0]["content"]) for request in server.requests]


def chat_config(folder: Path, model: Path, data: Path, **dataset: Any) -> dict[str, Any]:
    config = host_config(folder, model, data, sequence_len=512)
    config["datasets"] = [{"path": str(data), "type": "cft.chat", **dataset}]
    return config | {"cft": {"prompts": PROMPT, "prompt_budget": 96}}


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        ([SYSTEM, *exchange(1)[:1]], "System: You answer in one sentence.\n\nUser: What does vessel"
         " 1 carry?"),
        (as_sharegpt(exchange(1)[1:]), "Gpt: Yes, vessel 1 carries blood to the heart."),
        (json.dumps(exchange(1)[:1]), "User: What does vessel 1 carry?"),
        ([{"role": "assistant", "content": None, "tool_calls": [CALL]}],
         f"Assistant: {json.dumps([CALL])}"),
        ([{"role": "assistant", "content": "Wait.", "tool_calls": [CALL]}],
         f"Assistant: Wait.\n{json.dumps([CALL])}"),
        ([{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image"},
                                       None, {"type": "text", "text": " here."}]}],
         "User: Look here."),
        ([{"role": "user"}, {"role": "assistant", "content": ""}], "User:\n\nAssistant:"),
        ([{"role": None, "content": None, "from": "human", "value": "Why?"}], "Human: Why?"),
        ([{"role": "αναγνώστης", "content": "Γιατί;"}], "Αναγνώστης: Γιατί;"),
        *((nothing, "") for nothing in (None, [], "", "[]", "null")),
    ],
)  # fmt: skip
def test_a_conversation_is_its_turns_with_their_roles(turns, text):
    assert conversation_text(turns) == text


@pytest.mark.parametrize(
    ("value", "keys", "said"),
    [
        ("Hello.", None, "a text that is not JSON"),
        ({"role": "user"}, None, "dict, and a conversation is a list of turns"),
        (["Hello."], None, "a list of str, and a turn is a mapping"),
        ([*exchange(1), "Hello."], None, "a list of str"),
        ([{"who": "a", "said": "b"}], None, r"a turn with neither .* \(it has who, said\): say in"),
        ([*exchange(1), {"from": "gpt"}], None, r"a turn without 'role' \(it has from\)"),
        (as_sharegpt(exchange(1)), TurnKeys(), r"a turn without 'role' \(it has from, value\)"),
        ([{"role": "user", "content": 5}], None, "a turn whose 'content' is int"),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_said(value, keys, said):
    with pytest.raises(ValueError, match=f"^holds {said}"):
        conversation_text(value, keys)


def test_the_config_says_what_the_keys_are(tmp_path):
    def keys_for(*datasets: dict[str, Any], corpus: str = "elsewhere.jsonl") -> TurnKeys | None:
        chats = [{"type": "cft.chat", "path": "a.jsonl", **dataset} for dataset in datasets]
        config = write_config(tmp_path / "c.yml", {"base_model": "m", "datasets": chats})
        return turn_keys(config, corpus, "messages")

    mapped = {"message_property_mappings": {"role": "who", "content": "what"}}
    assert keys_for({}) == keys_for({"field_messages": "messages"}) == TurnKeys()
    assert keys_for(mapped) == TurnKeys("who", "what")
    legacy = {"message_field_role": "from", "message_field_content": "value"}
    assert keys_for(legacy, {"field_messages": "turns"}) == TurnKeys("from", "value")
    assert keys_for({"type": "cft"}, {"field_messages": "turns"}) is None
    assert keys_for(mapped, legacy) is None
    other = legacy | {"path": str(tmp_path / "x" / ".." / "b.jsonl")}
    assert keys_for(mapped, other, corpus=str(tmp_path / "b.jsonl")) == TurnKeys("from", "value")


def test_each_conversation_gets_a_prompt_and_trains_as_it_is_written(tmp_path, tiny_model):
    """Both forms, with tool calls, parts, systems, repeats and rows without a turn."""
    called = [
        *exchange(1)[:1],
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "wet"},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes, it rains."}]},
    ]
    chats = [exchange(0), [SYSTEM, *exchange(2)], called, None, [], exchange(0)]
    corpus = write_jsonl(
        tmp_path / "chats.jsonl", [{"id": i, "messages": c} for i, c in enumerate(chats)]
    )
    config = chat_config(tmp_path, tiny_model, tmp_path / "out" / "corpus.jsonl")
    config |= {"chat_template": "qwen3"}
    file = write_config(tmp_path / "generate.yml", config)
    with serve(Loopback()) as server:
        result = generate(server, corpus, "--field", "messages", "--config", file)
    assert result.exit_code == 0, result.output
    asked = [conversation_text(chats[i]) for i in range(3)]
    assert sorted(texts_sent(server)) == sorted(asked)
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["messages"] for row in rows] == chats
    prompts = [prompt_for(text) for text in asked]
    assert [row["contextual_prompt"] for row in rows] == [*prompts, None, None, prompts[0]]
    assert [row["contextual_prompt_shown"] for row in rows] == [1.0, 1.0, 1.0, None, None, 1.0]
    assert all("contextual_prompt_cut" not in row for row in rows)

    _, meta = prepare(config)
    (described,) = descriptions(meta.train_dataset)
    counts = dict(described.ledger)
    assert (counts["documents"], counts["empty"], counts["used"]) == (6, 2, 4)
    assert counts["prompt_counts"] == {"contextual_prompt": 4}
    assert counts["prompts_truncated"] == counts["prompts_not_placed"] == 0
    tokenizer = tokenizer_of(tiny_model)
    made = [tokenizer.decode(row["input_ids"]) for row in meta.train_dataset]
    for prompt, text in zip(prompts, ("vessel 0", "vessel 2", "it rains"), strict=True):
        assert any(prompt in row and text in row for row in made)
    for row in meta.train_dataset:
        targets = [label for label in row["labels"] if label != IGNORE_INDEX]
        assert "Look closely" not in tokenizer.decode(targets) and targets


def tokenizer_of(model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def test_turns_with_names_of_their_own_are_read_as_the_host_reads_them(tmp_path, tiny_model):
    turns = [as_sharegpt(exchange(i), who="who", what="what") for i in range(3)]
    # As JSON: then nothing but the config tells that the column holds conversations.
    corpus = write_jsonl(tmp_path / "chats.jsonl", [{"talk": json.dumps(t)} for t in turns])
    config = chat_config(
        tmp_path,
        tiny_model,
        tmp_path / "out" / "corpus.jsonl",
        field_messages="talk",
        message_property_mappings={"role": "who", "content": "what"},
    )
    file = write_config(tmp_path / "generate.yml", config)
    with serve(Loopback()) as server:
        result = generate(server, corpus, "--field", "talk", "--config", file)
    assert result.exit_code == 0, result.output
    assert min(texts_sent(server)).startswith("Human: What does vessel 0 carry?\n\nGpt: Yes")
    _, meta = prepare(config)
    (described,) = descriptions(meta.train_dataset)
    assert described.ledger.prompt_counts == {"contextual_prompt": 3}


@pytest.mark.parametrize("keys", [("role", "content"), ("from", "value")])
def test_parquet_with_lists_of_structs_stays_what_it_is(tmp_path, keys):
    who, what = keys
    turns = [as_sharegpt(exchange(i), who=who, what=what) for i in range(2)]
    turns[1].append({who: "gpt", what: None})
    table = pa.table({"messages": [turns[0], None, turns[1]], "id": [1, 2, 3]})
    corpus = tmp_path / "chats.parquet"
    pq.write_table(table, corpus)
    with serve(Loopback()) as server:
        result = generate(server, corpus, "--field", "messages")
    assert result.exit_code == 0, result.output
    written = pq.read_table(tmp_path / "out" / "corpus.parquet")
    assert written.select(["messages", "id"]).equals(table)
    texts = [conversation_text(chat) for chat in turns]
    assert texts[1].endswith("\n\nGpt:")
    assert written["contextual_prompt"].to_pylist() == [prompt_for(texts[0]), None,
                                                        prompt_for(texts[1])]  # fmt: skip


def test_conversations_of_a_json_array_or_of_csv_are_read_as_well(tmp_path, tiny_model):
    array = tmp_path / "array" / "chats.json"
    table = tmp_path / "table" / "chats.csv"
    array.parent.mkdir()
    table.parent.mkdir()
    array.write_text(json.dumps([{"messages": exchange(i)} for i in range(2)]))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["messages"], *([json.dumps(exchange(i))] for i in range(2))])
    config = write_config(tmp_path / "c.yml", chat_config(tmp_path, tiny_model, table))
    asked = sorted(conversation_text(exchange(i)) for i in range(2))
    for corpus in (array, table):
        with serve(Loopback()) as server:
            result = generate(server, corpus, "--field", "messages", "--config", config)
        assert result.exit_code == 0, result.output
        assert sorted(texts_sent(server)) == asked


def test_a_prompt_that_copies_what_somebody_says_is_asked_for_again(tmp_path):
    said = "The valves of the heart keep the blood from flowing back into the chambers it left"
    chat = [*exchange(1)[:1], {"role": "assistant", "content": f"{said}."}]
    corpus = write_jsonl(tmp_path / "chats.jsonl", [{"messages": chat}])
    copy = f"Ask yourself why this holds: {said.lower()}. What would happen without them?"
    with serve(Loopback(behave=lambda text, n: GOOD if n else copy)) as server:
        result = generate(server, corpus, "--field", "messages")
    assert result.exit_code == 0, result.output
    assert len(server.requests) == 2
    assert "copies 12 or more consecutive words" in server.requests[1]["messages"][0]["content"]


def test_a_long_conversation_is_shown_in_part_and_never_cut_into_chunks(tmp_path, tiny_model):
    turns = [turn for i in range(200) for turn in exchange(i)]
    corpus = write_jsonl(tmp_path / "chats.jsonl", [{"messages": turns}])
    # A config without any conversations: the column alone tells.
    config = write_config(tmp_path / "c.yml", host_config(tmp_path, tiny_model, corpus))
    with serve(Loopback()) as server:
        refused = generate(server, corpus, "--field", "messages", "--config", config,
                           "--per", "chunk")  # fmt: skip
        assert refused.exit_code == 1 and not server.requests
        assert "cuts no conversation into chunks" in refused.output
        result = generate(server, corpus, "--field", "messages", "--config", config,
                          "--max-input-tokens", 400)  # fmt: skip
        assert result.exit_code == 0, result.output
    (shown,), text = texts_sent(server), conversation_text(turns)
    assert text.startswith(shown) and shown.endswith(".")
    (row,) = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert isinstance(row["contextual_prompt"], str)
    assert row["contextual_prompt_shown"] == pytest.approx(len(shown) / len(text), abs=1e-5)


def test_what_cannot_be_read_is_said_by_its_row_before_anybody_is_asked(tmp_path):
    good = {"messages": exchange(1), "text": "A text.", "tags": ["a"]}
    cases = [
        ("message", {}, "1 has no column 'message' (it has messages, text, tags): name it with"),
        ("messages", {"messages": "Hello."}, "2: column 'messages' holds a text that is not JSON"),
        ("messages", {"messages": [{"role": 1}]}, "2: column 'messages' holds a turn with neither"),
        ("text", {"text": exchange(1)}, "2: column 'text' holds list, not text"),
        ("tags", {}, "1: column 'tags' holds a list of str, and a turn is a mapping"),
    ]
    with serve(Loopback()) as server:
        for column, other, said in cases:
            corpus = write_jsonl(tmp_path / "chats.jsonl", [good, good | other])
            result = generate(server, corpus, "--field", column)
            assert result.exit_code == 1 and f"chats.jsonl:{said}" in result.output, result.output
        corpus = write_jsonl(tmp_path / "chats.jsonl", [{"messages": None}, {"messages": []}])
        nothing = generate(server, corpus, "--field", "messages")
        assert nothing.exit_code == 1 and "holds no text" in nothing.output
    assert not server.requests


def test_other_commands_read_texts_alone(tmp_path):
    corpus = write_jsonl(tmp_path / "chats.jsonl", [{"messages": exchange(1)}])
    out = ("--output-dir", tmp_path / "found", "--tasks", "cft_medqa")
    result = contamination(corpus, "--field", "messages", *out)
    assert result.exit_code == 1
    assert "chats.jsonl:1: column 'messages' holds list, not text" in result.output


def test_the_advice_about_a_missing_prompt_can_be_followed_to_the_letter(tmp_path, tiny_model):
    """A column of the user's own with holes in it, and an endpoint that refuses one text."""
    chats = [{"messages": exchange(i), "hint": "Look." if i else None} for i in range(3)]
    corpus = write_jsonl(tmp_path / "chats.jsonl", chats)
    config = chat_config(tmp_path, tiny_model, corpus)
    config["cft"]["prompts"] = {"column": "hint"}
    with pytest.raises(CFTError, match="has no prompt in column 'hint'") as refused:
        prepare(config)
    assert "`axolotl-cft generate --fallback paper` writes for every row" in str(refused.value)

    bad = conversation_text(exchange(1))
    with serve(Loopback(behave=lambda text, n: REFUSING if text == bad else GOOD)) as server:
        result = generate(server, corpus, "--field", "messages", "--fallback", "paper")
    assert result.exit_code == 0, result.output
    config = chat_config(tmp_path / "again", tiny_model, tmp_path / "out" / "corpus.jsonl")
    _, meta = prepare(config)
    assert len(meta.train_dataset) == 3


def test_a_list_of_prompts_for_a_conversation_is_refused_with_what_to_do(tmp_path, tiny_model):
    corpus = write_jsonl(
        tmp_path / "chats.jsonl",
        [{"messages": exchange(i), "contextual_prompt": ["Look."]} for i in range(2)],
    )
    with pytest.raises(CFTError, match="a conversation is not cut into chunks; give it one prompt"):
        prepare(chat_config(tmp_path, tiny_model, corpus))
