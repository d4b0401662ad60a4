"""`type: cft.chat`: the host's targets to the token, a prompt where it was asked for."""

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import yaml
from axolotl.utils.dict import DictDefault
from conftest import TOPICS, make_documents, sentences, tokenizer_texts, varied, write_jsonl
from datasets import Dataset, IterableDataset
from host import fit, host_config, losses, prepare

from axolotl_cft.core.encoding import IGNORE_INDEX
from axolotl_cft.core.ledger import Ledger
from axolotl_cft.core.options import CFTConfig
from axolotl_cft.errors import CFTError
from axolotl_cft.host.chat import ChatEncoder, ChatStrategy, load_pinned
from axolotl_cft.host.plan import make_plan
from axolotl_cft.host.preparing import Preparation, descriptions
from axolotl_cft.prompts.registry import load_pool

SPECIALS = """
    <unk> <s> </s> [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CALLS] [TOOL_RESULTS]
    [/TOOL_RESULTS] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] <bos> <eos> <start_of_turn>
    <end_of_turn> <|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> <|eom_id|>
    <|python_tag|> <|endoftext|> <|im_start|> <|im_end|> <|im_sep|> <think> </think> <tool_call>
    </tool_call>
""".split()  # noqa: SIM905

# template -> (BOS, EOS, places that it can show)
FAMILIES = {
    "chatml": (None, "<|im_end|>", ["user", "system"]),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>", ["user", "system"]),
    "llama3_2_vision": ("<|begin_of_text|>", "<|eot_id|>", ["user", "system"]),
    "gemma": ("<bos>", "<end_of_turn>", ["user"]),
    "gemma3": ("<bos>", "<end_of_turn>", ["user", "system"]),
    "mistral_v1": ("<s>", "</s>", ["user", "system"]),
    "mistral_v2v3": ("<s>", "</s>", ["user"]),
    "mistral_v7_tekken": ("<s>", "</s>", ["user", "system"]),
    "qwen_25": (None, "<|im_end|>", ["user", "system"]),
    "qwen3": (None, "<|im_end|>", ["user", "system"]),
    "phi_4": (None, "<|im_end|>", ["user", "system"]),
    "alpaca": ("<s>", "</s>", ["user", "system"]),
}
TEMPLATES_AND_PLACES = [(name, place) for name, spec in FAMILIES.items() for place in spec[2]]

SYSTEM = {"role": "system", "content": "You answer questions about the body."}
USER = {"role": "user", "content": "  What does the heart do?\n"}
ANSWER = {"role": "assistant", "content": "It pumps blood."}
MORE = [
    {"role": "user", "content": "And the valves?"},
    {"role": "assistant", "content": "They keep it from flowing back."},
]
CONVERSATIONS = [
    [USER, ANSWER],
    [USER, ANSWER, *MORE],
    [SYSTEM, USER, ANSWER],
    [SYSTEM, USER, ANSWER, *MORE],
    [{"role": "user", "content": TOPICS["unicode"]}, {"role": "assistant", "content": "東京 🫀"}],
    # The message begins as a prompt of the pool does: the two must not be mixed up.
    [{"role": "user", "content": load_pool("paper").prompts[0].text + " Why?"}, ANSWER],
]


@pytest.fixture(scope="module")
def core():
    """A byte-level BPE that knows the special tokens of every family."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1200, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(tokenizer_texts(), trainer)
    return core


@pytest.fixture
def tokenizer_of(core):
    """A tokenizer as the models of a family have it."""
    from transformers import PreTrainedTokenizerFast

    def make(family):
        bos, eos, _ = FAMILIES[family]
        return PreTrainedTokenizerFast(
            tokenizer_object=core, bos_token=bos, eos_token=eos, unk_token="<unk>", pad_token=eos
        )

    return make


def chat_strategy(
    tokenizer,
    template,
    *,
    part="train",
    dataset=(),
    cfg=(),
    sequence_len=2048,
    is_piece=False,
    **options,
):
    """(the host's strategy, ours) for a dataset."""
    cfg = DictDefault({"sequence_len": sequence_len, **dict(cfg)})
    ds_cfg = DictDefault({"path": "chats", "type": "cft.chat", "chat_template": template})
    ds_cfg |= DictDefault(dict(dataset))
    top = CFTConfig(**{k: options.pop(k) for k in ("holdout", "holdout_by") if k in options})
    options = {"prompt_budget": 128, **options}
    plan = make_plan("datasets[0]", part, {**ds_cfg, "cft": options}, top, 42)
    encoder = ChatEncoder(load_pinned(tokenizer, cfg, ds_cfg), plan, sequence_len)
    task = Preparation(plan, sequence_len, plan.path, is_piece=is_piece)
    return load_pinned(tokenizer, cfg, ds_cfg), ChatStrategy(encoder, task)


def rows_of(conversations, **columns):
    return [
        {"messages": messages, **{name: values[i] for name, values in columns.items()}}
        for i, messages in enumerate(conversations)
    ]


def encode(strategy, rows):
    encoded = strategy.wrap_dataset(Dataset.from_list(rows))
    (entry,) = descriptions(encoded)
    return encoded.to_list(), dict(entry.ledger)


def host_rows(host, rows):
    return [host.tokenize_prompt(json.loads(json.dumps(row))) for row in rows]


def trained(row):
    return [label for label in row["labels"] if label != IGNORE_INDEX]


def fits(template, messages):
    """Whether the template takes such a conversation at all."""
    return template != "gemma" or messages[0]["role"] != "system"


@pytest.mark.parametrize(
    ("template", "place", "train_on_eos"),
    [(template, place, "turn") for template, place in TEMPLATES_AND_PLACES]
    + list(
        product(["chatml", "llama3", "gemma3", "mistral_v1"], ["user"], ["all", "last", "none"])
    ),
)
def test_targets_are_the_hosts(tokenizer_of, template, place, train_on_eos):
    tokenizer = tokenizer_of(template)
    rows = rows_of([c for c in CONVERSATIONS if fits(template, c)])
    host, ours = chat_strategy(
        tokenizer, template, dataset={"train_on_eos": train_on_eos}, place=place
    )
    pool = {prompt.id: prompt.text for prompt in load_pool("paper").prompts}
    expected = host_rows(host, rows)
    got, ledger = encode(ours, rows)
    assert len(got) == len(rows) == sum(ledger["prompt_counts"].values())
    assert ledger["prompts_not_placed"] == 0 and "(none)" not in ledger["prompt_counts"]
    for bare, row in zip(expected, got, strict=True):
        assert trained(row) == trained(bare) != []
        pairs = zip(row["labels"], row["input_ids"], strict=True)
        assert all(label in (IGNORE_INDEX, id_) for label, id_ in pairs)
        assert any(text in tokenizer.decode(row["input_ids"]) for text in pool.values())
    assert ledger["text_tokens"] == sum(len(bare["input_ids"]) for bare in expected)
    assert ledger["total_tokens"] == sum(len(row["input_ids"]) for row in got)
    assert ledger["prompt_tokens"] == ledger["total_tokens"] - ledger["text_tokens"]
    assert ledger["trained_tokens"] == sum(len(trained(bare)) for bare in expected)


@pytest.mark.parametrize("template", FAMILIES)
def test_rows_are_what_the_host_makes_of_the_prompted_conversation(tokenizer_of, template):
    """Where the prompt's own message is not trained, ids and labels agree, label for label."""
    conversations = [c for c in CONVERSATIONS if fits(template, c)]
    host, ours = chat_strategy(tokenizer_of(template), template, prompts="fixed", separator=" | ")
    got, _ = encode(ours, rows_of(conversations))
    prompt = load_pool("fixed").prompts[0].text
    for messages, row in zip(conversations, got, strict=True):
        written = [dict(message) for message in messages]
        first = next(message for message in written if message["role"] == "user")
        first["content"] = f"{prompt} | {first['content']}"
        (expected,) = host_rows(host, rows_of([written]))
        assert row["input_ids"] == expected["input_ids"]
        assert row["labels"] == expected["labels"]


@pytest.mark.parametrize("place", ["user", "system"])
def test_the_prompt_bears_no_loss_even_where_its_message_is_trained(tokenizer_of, place):
    rows = rows_of(CONVERSATIONS)
    dataset = {"roles_to_train": ["system", "user", "assistant"], "train_on_eos": "all"}
    for cfg in ({}, {"train_on_inputs": True}):
        host, ours = chat_strategy(
            tokenizer_of("chatml"), "chatml", dataset=dataset, cfg=cfg, place=place
        )
        got, ledger = encode(ours, rows)
        for bare, row in zip(host_rows(host, rows), got, strict=True):
            assert trained(row) == trained(bare)
        assert ledger["prompt_tokens"] > 20 * len(rows)
        assert ledger["prompts_not_placed"] == 0


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "pulse",
            "description": "Measures a pulse.",
            "parameters": {"type": "object", "properties": {"wrist": {"type": "string"}}},
        },
    }
]
CALL = {
    "id": "callpulse",
    "type": "function",
    "function": {"name": "pulse", "arguments": {"wrist": "left"}},
}
TOOL_USE = [
    SYSTEM,
    {"role": "user", "content": "What is my pulse?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "name": "pulse", "tool_call_id": "callpulse", "content": "62"},
    {"role": "assistant", "content": "It is 62."},
]


@pytest.mark.parametrize("as_text", [False, True], ids=["tools as data", "tools as JSON text"])
@pytest.mark.parametrize("template", ["qwen_25", "qwen3", "llama3_2_vision"])
def test_tools(tokenizer_of, template, as_text):
    dataset = {"roles_to_train": ["assistant", "tool"]}
    rows = [{"messages": TOOL_USE, "tools": json.dumps(TOOLS) if as_text else TOOLS}]
    host, ours = chat_strategy(tokenizer_of(template), template, dataset=dataset)
    (bare,) = host_rows(host, rows)
    (row,), ledger = encode(ours, rows)
    assert trained(row) == trained(bare) != []
    assert "Measures a pulse." in ours.encoder.host.tokenizer.decode(row["input_ids"])
    assert ledger["prompts_not_placed"] == 0


def sharegpt(messages):
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": names[m["role"]], "value": m["content"]} for m in messages]


FLAGGED = [
    USER,
    {**ANSWER, "train": False},
    {**MORE[0], "train": True},
    {
        **MORE[1],
        "detail": [
            {"begin_offset": 0, "end_offset": 8, "train": True},
            {"begin_offset": 9, "end_offset": 30, "train": False},
        ],
    },
]
THOUGHT = [USER, {"role": "assistant", "content": "<think>\nIt beats.\n</think>\n\nIt pumps."}]
VARIANTS = {
    "sharegpt": (
        {
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
        },
        {"conversations": sharegpt(CONVERSATIONS[3])},
    ),
    "roles": (
        {"roles": {"user": ["pupil"], "assistant": ["teacher"]}, "roles_to_train": ["teacher"]},
        {"messages": [{**USER, "role": "pupil"}, {**ANSWER, "role": "teacher"}]},
    ),
    "flags of messages and characters": (
        {
            "message_field_training": "train",
            "message_field_training_detail": "detail",
            "roles_to_train": [],
        },
        {"messages": FLAGGED},
    ),
    "content in parts": (
        {},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Blood", "train": False},
                        {"type": "text", "text": " flows.", "train": True},
                    ],
                },
            ]
        },
    ),
    "system column": ({}, {"messages": CONVERSATIONS[1], "system": "Be brief."}),
    "dropped system message": ({"drop_system_message": True}, {"messages": CONVERSATIONS[2]}),
    "messages as JSON text": ({}, {"messages": json.dumps(CONVERSATIONS[1])}),
    "split thinking": ({"split_thinking": True}, {"messages": THOUGHT}),
    "eot": ({"train_on_eot": "last", "train_on_eos": "last"}, {"messages": CONVERSATIONS[1]}),
}


@pytest.mark.parametrize("place", ["user", "system"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_options_of_chat_template_keep_working(tokenizer_of, variant, place):
    dataset, row = VARIANTS[variant]
    host, ours = chat_strategy(tokenizer_of("qwen3"), "qwen3", dataset=dataset, place=place)
    clean = json.loads(json.dumps(row))
    bare = host.tokenize_prompt({name: [value] for name, value in clean.items()})
    bare = {name: values[0] for name, values in bare.items()}
    (got,), ledger = encode(ours, [row])
    assert trained(got) == trained(bare) != []
    assert ledger["prompts_not_placed"] == 0
    assert len(got["input_ids"]) > len(bare["input_ids"])


def many(count):
    return rows_of(
        [
            [{"role": "user", "content": f"Question {i}?"}, {**ANSWER, "content": f"Yes, {i}."}]
            for i in range(count)
        ],
        topic=[None if i % 3 == 0 else f"topic {i}" for i in range(count)],
    )


def test_draws_are_those_of_documents_and_do_not_depend_on_order(tokenizer_of):
    tokenizer = tokenizer_of("chatml")
    _, ours = chat_strategy(tokenizer, "chatml", views=2)
    rows = many(40)
    straight, ledger = encode(ours, rows)
    backward, other = encode(ours, rows[::-1])
    assert len(straight) == 80 and ledger == other
    as_set = Counter(tuple(row["input_ids"]) for row in straight)
    assert Counter(tuple(row["input_ids"]) for row in backward) == as_set
    pairs = [straight[i]["input_ids"] != straight[i + 1]["input_ids"] for i in range(0, 80, 2)]
    assert all(pairs)
    _, one_view = chat_strategy(tokenizer, "chatml")
    assert encode(one_view, rows)[0] == straight[::2]
    _, reseeded = chat_strategy(tokenizer, "chatml", seed=1)
    assert encode(reseeded, rows)[0] != straight[::2]


def test_arms_share_targets_and_dropout_drops(tokenizer_of):
    tokenizer = tokenizer_of("llama3")
    rows, digests = many(60), set()
    for options in ({}, {"prompts": "none"}, {"prompts": "negative"}, {"dropout": 0.5}):
        _, ours = chat_strategy(tokenizer, "llama3", **options)
        _, ledger = encode(ours, rows)
        digests.add((ledger["targets_digest"], ledger["trained_tokens"]))
    assert len(digests) == 1
    assert 15 < ledger["prompt_counts"]["(none)"] < 45


def test_holdout_splits_conversations(tokenizer_of):
    tokenizer = tokenizer_of("chatml")
    rows = [*many(200), {"messages": [], "topic": ""}]
    _, train = chat_strategy(tokenizer, "chatml", holdout=0.25)
    _, test = chat_strategy(tokenizer, "chatml", holdout=0.25, part="test")
    _, train_ledger = encode(train, rows)
    test_rows, test_ledger = encode(test, rows)
    assert train_ledger["used"] + test_ledger["used"] == 200
    assert (
        train_ledger["held_out"] == test_ledger["held_out"] == test_ledger["used"] == len(test_rows)
    )
    assert 25 < test_ledger["used"] < 75 and train_ledger["empty"] == 1
    assert test_ledger["prompt_counts"] == {"(none)": test_ledger["used"]}


def test_conversations_go_by_what_is_said(tokenizer_of):
    tokenizer, rows = tokenizer_of("chatml"), many(60)
    retold = [
        {**row, "messages": [{**m, "content": varied(m["content"], 1)} for m in row["messages"]]}
        for row in rows
    ]
    _, test = chat_strategy(tokenizer, "chatml", holdout=0.4, part="test")

    def sides(given):
        return [test.key_if_ours(row, Ledger()) is not None for row in given]

    assert sides(rows) == sides(retold)
    assert 8 < sum(sides(rows)) < 40
    keys = {test.encoder.read(row).key for row in (*rows, *retold)}
    assert len(keys) == 120  # prompts are drawn by the exact conversation, as before
    silent = [
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": str(i)}]}]}
        for i in range(60)
    ]
    assert 8 < sum(sides(silent)) < 40  # each stands for itself


def test_conversations_of_one_value_stay_together(tokenizer_of):
    tokenizer = tokenizer_of("chatml")
    rows = [{**row, "source": f"s{i % 6}"} for i, row in enumerate(many(60))]
    options = {"holdout": 0.4, "holdout_by": "source"}
    _, train = chat_strategy(tokenizer, "chatml", **options)
    _, test = chat_strategy(tokenizer, "chatml", part="test", **options)
    trained, _ = encode(train, rows)
    tested, ledger = encode(test, rows)
    assert len(trained) + len(tested) == 60
    assert ledger["held_out"] % 10 == 0 and 0 < ledger["held_out"] < 60


def test_a_column_that_decides_and_is_not_there_is_named(tokenizer_of):
    _, ours = chat_strategy(tokenizer_of("chatml"), "chatml", holdout=0.5, holdout_by="journal")
    with pytest.raises(CFTError, match="has no column 'journal', which cft.holdout_by names"):
        encode(ours, many(3))


def test_near_duplicates_among_conversations_are_counted(tokenizer_of):
    answers = list(map(sentences, range(40)))
    rows = [
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]}
        for answer in answers
    ]
    _, test = chat_strategy(tokenizer_of("chatml"), "chatml", holdout=0.5, part="test")
    _, ledger = encode(test, rows)
    assert ledger["near_duplicates"] == 0 < ledger["compared"]
    again = [
        {"messages": [row["messages"][0], {**row["messages"][1], "content": answer + " Again."}]}
        for row, answer in zip(rows, answers, strict=True)
    ]
    _, ledger = encode(test, rows + again)
    assert 5 < ledger["near_duplicates"] < ledger["compared"]


def test_only_a_piece_of_a_dataset_may_be_empty(tokenizer_of):
    options = {"holdout": 0.0001, "part": "test"}
    _, piece = chat_strategy(tokenizer_of("chatml"), "chatml", is_piece=True, **options)
    encoded, ledger = encode(piece, many(3))
    assert encoded == [] and ledger["documents"] == 3
    _, whole = chat_strategy(tokenizer_of("chatml"), "chatml", **options)
    with pytest.raises(CFTError, match="none of its 3 documents fell into the held-out part"):
        encode(whole, many(3))


def test_what_fits_only_without_its_prompt_goes_without_in_every_arm(tokenizer_of):
    tokenizer = tokenizer_of("chatml")
    length = len(tokenizer("word " * 100)["input_ids"])
    long = [USER, {**ANSWER, "content": "word " * 100}]
    too_long = [USER, {**ANSWER, "content": "word " * 200}]
    rows = rows_of([*CONVERSATIONS[:3], long, too_long])
    seen = []
    for prompts in ("paper", "fixed", "none"):
        host, ours = chat_strategy(tokenizer, "chatml", sequence_len=length + 60, prompts=prompts)
        got, ledger = encode(ours, rows)
        assert (ledger["fits_only_without_prompt"], ledger["longer_than_row"]) == (1, 1)
        assert got[3]["input_ids"] == host_rows(host, rows[3:4])[0]["input_ids"]
        seen.append((ledger["targets_digest"], ledger["rows"]))
    assert len(set(seen)) == 1
    _, ours = chat_strategy(tokenizer, "chatml", sequence_len=length + 60)
    with pytest.raises(CFTError, match="none of its 2 conversations can take a prompt .*raise"):
        encode(ours, rows_of([long, too_long]))


def test_metadata_in_prompts(tokenizer_of, tmp_path):
    pool = tmp_path / "pool.yaml"
    text = "name: p\ndefaults: {topic: medicine}\nprompts: [{id: a, text: 'About {topic}: {0}'}]\n"
    pool.write_text(text)
    tokenizer = tokenizer_of("chatml")
    _, ours = chat_strategy(tokenizer, "chatml", prompts=str(pool))
    got, _ = encode(ours, many(4))
    shown = [tokenizer.decode(row["input_ids"]) for row in got]
    assert ["About medicine: {0}" in s for s in shown] == [True, False, False, True]
    assert "About topic 2: {0}\n\nQuestion 2?" in shown[2]
    pool.write_text(text.replace("defaults: {topic: medicine}\n", ""))
    _, ours = chat_strategy(tokenizer, "chatml", prompts=str(pool))
    with pytest.raises(CFTError, match="document 1 has no value for 'topic'"):
        encode(ours, many(4))
    with pytest.raises(CFTError, match="no column 'topic', which a prompt of .*defaults"):
        encode(ours, rows_of(CONVERSATIONS[:1]))
    with pytest.raises(CFTError, match="no column 'messages'; set `field_messages`"):
        encode(ours, [{"text": "a"}])


def test_a_long_prompt_of_a_row_is_cut_to_the_budget(tokenizer_of):
    tokenizer = tokenizer_of("llama3")
    host, ours = chat_strategy(
        tokenizer, "llama3", prompts={"column": "prompt"}, prompt_budget=40, place="system"
    )
    rows = rows_of(CONVERSATIONS[:3], prompt=["Think. " * 60, "Think.", "Think. " * 60])
    got, ledger = encode(ours, rows)
    assert ledger["prompts_truncated"] == 2
    assert ledger["prompt_counts"] == {"prompt": 3}
    for bare, row in zip(host_rows(host, rows), got, strict=True):
        assert len(bare["input_ids"]) < len(row["input_ids"]) <= len(bare["input_ids"]) + 40
        assert trained(row) == trained(bare)


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        ("gemma", {"place": "system"}, "shows no system message.*set cft.place: user"),
        ("mistral_v2v3", {"place": "system"}, "shows no system message.*set cft.place: user"),
        ("chatml", {"prompt_budget": 5}, "adds [0-9]+ tokens .* cft.prompt_budget: 5; set it to"),
        ("chatml", {"prompts": {"column": "p"}, "prompt_budget": 1}, "column p: prompt 'a' adds"),
        ("chatml", {"format": "chat"}, "cft.format: `type: cft.chat` has no such option"),
        ("chatml", {"every": 50}, "cft.every: `type: cft.chat` has no such option"),
    ],
)
def test_refused_before_any_row(tokenizer_of, template, options, message):
    with pytest.raises(CFTError, match=message):
        chat_strategy(tokenizer_of(template), template, **options)


def test_a_conversation_that_the_template_refuses_is_named(tokenizer_of):
    _, ours = chat_strategy(tokenizer_of("gemma"), "gemma")
    rows = rows_of([CONVERSATIONS[0], CONVERSATIONS[2]])
    with pytest.raises(CFTError, match="chats: conversation 2 cannot be tokenized .*System role"):
        encode(ours, rows)


def test_conversations_without_a_place_are_kept_and_counted(tokenizer_of):
    host, ours = chat_strategy(tokenizer_of("chatml"), "chatml")
    rows = rows_of([CONVERSATIONS[0], [SYSTEM, ANSWER]])
    got, ledger = encode(ours, rows)
    assert ledger["prompts_not_placed"] == 1 and ledger["prompt_counts"]["(none)"] == 1
    assert got[1]["labels"] == host_rows(host, rows)[1]["labels"]
    with pytest.raises(CFTError, match=r"none of its 1 conversations.*cft\.place"):
        encode(ours, rows[1:])


def test_a_prompt_that_would_change_a_target_is_left_out(tokenizer_of):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% if m.role == 'assistant' and messages[0].role == 'system' %} Sir.{% endif %}"
        "<|im_end|>\n{% endfor %}"
    )
    dataset = {"chat_template_jinja": template}
    host, ours = chat_strategy(tokenizer_of("chatml"), "jinja", dataset=dataset, place="system")
    rows = rows_of(CONVERSATIONS[1:3])
    got, ledger = encode(ours, rows)
    assert ledger["prompts_not_placed"] == 1 and len(got) == 2
    assert [trained(row) for row in got] == [trained(row) for row in host_rows(host, rows)]
    assert got[0]["input_ids"] == host_rows(host, rows)[0]["input_ids"]


def test_what_is_no_conversation_is_named(tokenizer_of):
    _, ours = chat_strategy(tokenizer_of("chatml"), "chatml", dataset={"field_messages": "text"})
    with pytest.raises(CFTError, match="conversation 2 is a text, but not JSON .*field_messages"):
        encode(ours, [{"text": json.dumps(CONVERSATIONS[0])}, {"text": "Just words."}])


def test_the_documented_config_is_accepted(tmp_path, tiny_model):
    page = (Path(__file__).parent.parent / "docs" / "chat.md").read_text(encoding="utf-8")
    config = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    chats = str(chat_file(tmp_path, 80))
    for dataset in config["datasets"] + config["test_datasets"]:
        dataset["path"] = chats
    here = {"base_model": str(tiny_model), "bf16": False, "output_dir": str(tmp_path / "out")}
    here |= {"dataset_prepared_path": str(tmp_path / "prepared"), "dataset_num_proc": 1}
    _, meta = prepare({**config, **here, "special_tokens": {"pad_token": "</s>"}})
    assert len(meta.train_dataset) + len(meta.eval_dataset) == 80


def test_dates_are_pinned(tokenizer_of):
    tokenizer = tokenizer_of("mistral_v7_tekken")
    _, ours = chat_strategy(tokenizer, "mistral_v7_tekken")
    (row,), _ = encode(ours, rows_of(CONVERSATIONS[:1]))
    assert "The current date is 2024-07-26" in tokenizer.decode(row["input_ids"])


def test_many_processes_and_streams_give_the_same(tokenizer_of):
    _, ours = chat_strategy(tokenizer_of("chatml"), "chatml", holdout=0.1)
    rows = many(1200)
    straight, ledger = encode(ours, rows)
    spread = ours.wrap_dataset(Dataset.from_list(rows), process_count=2)
    assert spread.to_list() == straight
    assert dict(descriptions(spread)[0].ledger) == ledger
    stream = IterableDataset.from_generator(lambda: iter(rows[:50]))
    streamed = list(ours.wrap_dataset(stream))
    assert [row["labels"] for row in streamed] == [r["labels"] for r in straight[: len(streamed)]]


def chat_file(tmp_path: Path, count: int) -> Path:
    return write_jsonl(tmp_path / "chats.jsonl", many(count))


CHATML = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}"
    "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def test_it_trains_in_the_host(tmp_path, tiny_model):
    chats = chat_file(tmp_path, 24)
    config = host_config(tmp_path, tiny_model, chats, sequence_len=512)
    config["datasets"] = [{"path": str(chats), "type": "cft.chat"}]
    config |= {"cft": {"prompts": "paper", "views": 2}, "max_steps": 2}
    config |= {"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj"]}
    # The host's LoRA kernels patch Llama's class for the rest of the process.
    config |= {"lora_qkv_kernel": False, "lora_o_kernel": False, "lora_mlp_kernel": False}
    trainer = fit(config)
    assert len(losses(trainer)) == 2
    ledger = json.loads((tmp_path / "out" / "cft_ledger.json").read_text())
    assert ledger["train"]["rows"] == 48 and "(none)" not in ledger["train"]["prompt_counts"]
    assert ledger["reached_trainer"]["trained_tokens_lost"] == 0
    for row in list(trainer.train_dataset)[:5]:
        assert trainer.processing_class.decode(trained(row)).startswith("Yes,")
    config["datasets"][0]["type"] = "axolotl_cft.chat"  # the name that needs no registration
    _, meta = prepare(config)
    assert sorted(meta.train_dataset["input_ids"]) == sorted(trainer.train_dataset["input_ids"])


def test_it_mixes_with_other_types_and_the_cache_sees_its_options(tmp_path, tiny_model):
    chats = chat_file(tmp_path, 12)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(4))
    config = host_config(tmp_path, tiny_model, corpus, sequence_len=512)
    config |= {"chat_template": "jinja", "chat_template_jinja": CHATML}
    config["datasets"] = [
        {"path": str(corpus), "type": "cft", "field": "text"},
        {"path": str(chats), "type": "cft.chat", "cft": {"place": "system"}},
        {"path": str(chats), "type": "chat_template"},
    ]
    trainer = fit(config)
    assert len(losses(trainer)) == 2
    ledger = json.loads((tmp_path / "out" / "cft_ledger.json").read_text())
    assert [entry["ledger"]["used"] for entry in ledger["datasets"]] == [4, 12]
    assert ledger["reached_trainer"]["mixed_with_other_datasets"]
    decode = trainer.processing_class.decode
    rows = [row for row in trainer.train_dataset if decode(trained(row)).startswith("Yes")]
    targets = Counter(decode(trained(row)) for row in rows)
    assert len(targets) == 12 and set(targets.values()) == {2}  # ours and the host's alike
    systems = sum("<|system|>" in decode(row["input_ids"]) for row in rows)
    assert systems == 12

    def folders():
        return {path for path in (tmp_path / "prepared").iterdir() if path.is_dir()}

    before = folders()
    prepare(config)
    assert folders() == before
    config["datasets"][1]["cft"] = {"place": "user"}
    prepare(config)
    assert len(folders()) == len(before) + 1


@pytest.mark.parametrize(
    ("type_", "cft", "message"),
    [
        ("cft", {"place": "system"}, "cft.place: no dataset has `type: cft.chat`"),
        ("cft.chat", {"format": "chat"}, "cft.format: no dataset has `type: cft`"),
        ("cft.chat", {"every": 50}, "cft.every: no dataset has `type: cft`"),
        ("cft", {"every": 50, "format": "chat"}, "cft.every puts prompts inside a text"),
        ("cft", {"every": 1}, "cft.every: input should be greater than or equal to 2, got 1"),
        ("cft.chat", {"place": "assistant"}, "cft.place: input should be 'user' or 'system'"),
    ],
)
def test_options_without_effect_are_refused(tmp_path, tiny_model, type_, cft, message):
    config = host_config(tmp_path, tiny_model, chat_file(tmp_path, 2), cft=cft)
    config["datasets"][0]["type"] = type_
    with pytest.raises(CFTError, match=message):
        prepare(config)


def test_place_is_no_option_of_documents():
    dataset = {"path": "corpus", "type": "cft", "cft": {"place": "user"}}
    with pytest.raises(CFTError, match=r"datasets\[0\]\.cft\.place: `type: cft` has no such"):
        make_plan("datasets[0]", "train", dataset, CFTConfig(), 42)
