"""What people get wrong, taken through the real host: refused or warned of in one sentence, or
harmless, as the rows show."""

import json
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_documents, write_jsonl
from host import fit, host_config, load_cfg, prepare

from axolotl_cft.core.options import PROMPTS_VARIABLE
from axolotl_cft.errors import CFTError
from axolotl_cft.host.preparing import PLANS

TEXTS = make_documents(8)
CHATS = [
    {
        "messages": [
            {"role": "user", "content": f"Say {number}."},
            {"role": "assistant", "content": f"{number}."},
        ]
    }
    for number in range(4)
]


@dataclass(frozen=True)
class Case:
    """A config that differs from a sound one, and what becomes of it.

    `refused` and `warned` are patterns for the one sentence; `same_as` names a sound config (the
    changes that make it) whose rows this one gives.
    """

    name: str
    top: dict[str, Any] = field(default_factory=dict)
    block: dict[str, Any] | None = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    cli: dict[str, Any] = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)
    variable: str | None = None
    rows: list[dict[str, Any]] | None = None
    raw: str | None = None
    refused: str = ""
    warned: str = ""
    same_as: dict[str, Any] | None = None
    upto: str = "load"


DROPS = "Axolotl has no such option and drops it"
OWN = r"write it into the dataset's own `cft: \{%s: …\}`"

WRONG_PLACE = [
    *(
        Case(
            f"{key} at the top", top={key: value}, refused=rf"^{key}: {DROPS}; write `cft: \{{{key}"
        )
        for key, value in {
            "prompts": "none",
            "holdout": 0.1,
            "prompt_budget": 64,
            "views": 3,
            "dropout": 0.1,
            "separator": " ",
            "place": "user",
            "format": "chat",
        }.items()
    ),
    *(
        Case(
            f"{key} on the dataset",
            dataset={key: value},
            refused=rf"^datasets\[0\]\.{key}: {DROPS}; {OWN % key}",
        )
        for key, value in {"prompts": "none", "views": 3, "seed": 1, "prompt_budget": 64}.items()
    ),
    Case(
        "holdout on the dataset",
        dataset={"holdout": 0.1},
        refused=r"^datasets\[0\]\.holdout: .*top-level `cft: \{holdout",
    ),
    Case(
        "holdout_by on the dataset",
        dataset={"holdout_by": "topic"},
        refused=r"^datasets\[0\]\.holdout_by: .*top-level `cft: \{holdout_by",
    ),
    Case(
        "holdout_by in the dataset's block",
        dataset={"cft": {"holdout_by": "topic"}},
        refused=r"^datasets\[0\]\.cft\.holdout_by: set it in the top-level cft block",
    ),
    Case(
        "holdout in the dataset's block",
        dataset={"cft": {"holdout": 0.1}},
        refused=r"^datasets\[0\]\.cft\.holdout: set it in the top-level cft block",
    ),
    Case(
        "prompts in test_datasets",
        top={"test_datasets": [{"path": "DATA", "type": "cft", "prompts": "paper"}]},
        refused=r"^test_datasets\[0\]\.prompts: " + DROPS,
    ),
    Case(
        "a block in another strategy's dataset",
        top={"datasets": [{"path": "DATA", "type": "completion", "cft": {"prompts": "none"}}]},
        refused=r"^datasets\[0\]\.cft: `type: completion` does not use these options",
    ),
    Case(
        "a dotted key in the dataset",
        dataset={"cft.prompts": "none"},
        refused=r"^datasets\[0\]\.cft\.prompts: " + DROPS,
    ),
    Case(
        "template arguments in the dataset",
        dataset={"chat_template_kwargs": {"enable_thinking": False}},
        refused=r"^datasets\[0\]\.chat_template_kwargs: .*move it there",
    ),
    Case("place without conversations", block={"place": "system"}, refused=r"^cft\.place: no data"),
    Case(
        "datasets under the plural of one",
        top={"test_dataset": [{"path": "DATA", "type": "cft"}]},
        refused=f"^test_dataset: {DROPS}; write `test_datasets:`",
    ),
    Case("a seed at the top is the host's", top={"seed": 7}, same_as={}),
    Case("an anchor's home is nobody's option", top={"x-cft": {"prompts": "none"}}, same_as={}),
    Case(
        "what the host does not know of a dataset",
        dataset={"weight_in_mixture": 2},
        warned=r"datasets\[0\]\.weight_in_mixture: Axolotl knows no such option and drops it",
    ),
]

MISSPELT = [
    *(
        Case(
            f"{key} for cft",
            top={key: {"prompts": "none"}},
            refused=f"^{key}: {DROPS}; write `cft:`",
        )
        for key in ("CFT", "Cft", "cfts", "ctf", "cpt", "axolotl_cft", "contextual")
    ),
    *(
        Case(
            f"type {type_}",
            dataset={"type": type_},
            refused=rf"^datasets\[0\]\.type: there is no '{type_}'; write `type: {meant}`",
        )
        for type_, meant in {
            "CFT": "cft",
            "ctf": "cft",
            "cft_chat": "cft.chat",
            "cft-chat": "cft.chat",
            "axolotl_cft": "cft",
            "axolotl_cft.strategies": "cft",
            "cfts": "cft",
        }.items()
    ),
    Case(
        "an option of the block", block={"promts": "none"}, refused=r"^cft\.promts: no such option"
    ),
    Case("an option at the top", top={"hold_out": 0.1}, refused=rf"^hold_out: {DROPS}.*holdout: …"),
    Case(
        "an option on the dataset",
        dataset={"promts": "none"},
        refused=r"^datasets\[0\]\.promts: .*prompts: …",
    ),
    Case(
        "the block of a dataset",
        dataset={"cfts": {"prompts": "none"}},
        refused=rf"^datasets\[0\]\.cfts: {DROPS}; write `cft: \{{…\}}`",
    ),
    Case(
        "the host's own option of a dataset",
        dataset={"fields": "topic"},
        refused=rf"^datasets\[0\]\.fields: {DROPS}; write `field:`",
    ),
    Case("a pool", block={"prompts": "papr"}, refused="^unknown prompt pool 'papr'"),
    Case("no pool", block={"prompts": "None"}, refused="^unknown prompt pool 'None'"),
    Case("a value", block={"format": "Chat"}, refused=r"^cft\.format: .*'plain' or 'chat'"),
    Case("nothing", block={"prompts": None}, refused=r"^cft\.prompts: is empty"),
]

DOTTED = "the host reads no options of this form"
WRONG_LAUNCHER = [
    # As fire hands them over: `--cft.prompts none` and `--cft.prompts=none` are one.
    Case("--cft.prompts", cli={"cft.prompts": "none"}, refused=rf"^cft\.prompts: {DOTTED}"),
    Case("--cft.prompt", cli={"cft.prompt": "none"}, refused=rf"^cft\.prompt: {DOTTED}"),
    Case("--cft-prompts", cli={"cft_prompts": "none"}, refused=rf"^cft_prompts: {DROPS}"),
    Case("--prompts", cli={"prompts": "none"}, refused=rf"^prompts: {DROPS}"),
    Case(
        "--datasets.0.cft.prompts",
        cli={"datasets.0.cft.prompts": "none"},
        refused=rf"^datasets\.0\.cft\.prompts: {DOTTED}",
    ),
    Case(
        "--datasets__0__cft__prompts",
        cli={"datasets__0__cft__prompts": "none"},
        refused="^datasets: expected a list .* write these into the config",
    ),
    Case(
        "strict hides what it drops",
        top={"strict": True},
        cli={"cft.prompts": "none"},
        argv=["--cft.prompts", "none"],
        refused=rf"^--cft\.prompts: {DOTTED}",
    ),
    Case("a key of a sweep", top={"cft.prompts": "none"}, refused=rf"^cft\.prompts: {DOTTED}"),
    Case(
        "--cft none", cli={"cft": "none"}, refused="^cft: expected a block of options, got 'none'"
    ),
    Case("--cft__promts", cli={"cft__promts": "none"}, refused=r"^cft\.promts: no such option"),
    Case(
        "none is empty where nothing is overruled",
        block=None,
        cli={"cft__prompts": "none"},
        refused=r"^cft\.prompts: is empty.*on the command line the host takes none for empty",
    ),
    Case("an empty variable", variable="", refused=f"^{PROMPTS_VARIABLE} is set but empty"),
    Case("a wrong variable", variable="papr", refused="^unknown prompt pool 'papr'"),
    Case(
        "a dataset of its own mind",
        dataset={"cft": {"prompts": "fixed"}},
        variable="none",
        warned=rf"datasets\[0\]\.cft\.prompts: fixed wins over {PROMPTS_VARIABLE}=none",
    ),
    Case(
        "a variable without data",
        top={"datasets": [{"path": "DATA", "type": "completion"}]},
        block=None,
        variable="none",
        warned=f"{PROMPTS_VARIABLE}=none changes nothing",
    ),
    Case("--cft__prompts", cli={"cft__prompts": "none"}, same_as={"prompts": "none"}),
    Case("--cft__views", cli={"cft__views": "2"}, same_as={"views": 2}),
    Case("the variable", variable="none", same_as={"prompts": "none"}),
    Case("a column", variable="{column: topic}", same_as={"prompts": {"column": "topic"}}),
    Case(
        "the variable wins over the option",
        variable="none",
        cli={"cft__prompts": "negative"},
        same_as={"prompts": "none"},
    ),
]

HOST_OPTIONS = [
    Case(
        "skip_prepare_dataset", top={"skip_prepare_dataset": True}, refused="^skip_prepare_dataset:"
    ),
    Case(
        "pretraining_dataset",
        top={"pretraining_dataset": [{"path": "DATA", "type": "cft"}]},
        refused="^pretraining_dataset: the host rebuilds the labels",
    ),
    Case("rl", top={"rl": "dpo"}, refused="^rl: dpo trains on preferences"),
    Case("reward model", top={"reward_model": True}, refused="^reward_model: trains a classifier"),
    Case(
        "process reward model",
        top={"process_reward_model": True},
        refused="^process_reward_model: trains a classifier",
    ),
    Case(
        "diffusion",
        top={
            "plugins": [
                "axolotl.integrations.diffusion.DiffusionPlugin",
                "axolotl_cft.CFTPlugin",
            ]
        },
        refused="^diffusion: masks the labels anew",
    ),
    Case(
        "packing without isolation",
        top={"sample_packing": True, "attn_implementation": None},
        refused="^sample_packing: this attention lets packed documents see",
        upto="rows",
    ),
    Case(
        "shards without a seed",
        top={"seed": None},
        dataset={"shards": 2},
        refused=r"^datasets\[0\]\.shards: without a `seed`",
    ),
    Case(
        "a packed stream of several",
        top={
            "streaming": True,
            "sample_packing": True,
            "datasets": [{"path": "DATA", "type": "cft"}] * 2,
        },
        refused="^streaming: with sample_packing the host reads the first",
    ),
    Case(
        "no room for text",
        top={"sequence_len": 97},
        refused=r"^cft\.prompt_budget: 96 leaves no room for text",
        upto="rows",
    ),
    Case(
        "hardly any room for text",
        top={"sequence_len": 130},
        warned=r"datasets\[0\]: prompt_budget: 96 leaves 34 of sequence_len: 130 tokens",
    ),
    Case(
        "views that repeat",
        block={"views": 4, "dropout": 0.5},
        warned="68.8% of the chunks have two or more rows without a prompt, which are the same",
    ),
    Case("val_set_size", top={"val_set_size": 0.2}, warned="val_set_size splits after chunking"),
    Case(
        "val_set_size beside test_datasets",
        top={"val_set_size": 0.05, "test_datasets": [{"path": "DATA", "type": "cft"}]},
        block={"holdout": 0.3},
        refused="^val_set_size: the host takes no second .* beside test_datasets; remove this line",
    ),
    Case(
        "val_set_size: 0 beside test_datasets",
        top={"val_set_size": 0.0, "test_datasets": [{"path": "DATA", "type": "cft"}]},
        block={"holdout": 0.3},
        warned=r"holds out \d of 8 documents",  # and so went all the way
        upto="rows",
    ),
    Case(
        "a template that thinks",
        top={"chat_template": "qwen3"},
        block={"format": "chat"},
        refused=r"^cft\.format: chat: the chat template opens <think> where the reply begins",
        upto="rows",
    ),
    Case(
        "short rows dropped",
        top={"min_sample_len": 80},
        warned="did not reach the trainer: the host dropped them",
        upto="training",
    ),
    Case(
        "documents twice",
        top={"dataset_exact_deduplication": True},
        rows=[*TEXTS, TEXTS[0]],
        warned="did not reach the trainer: the host dropped them",
        upto="training",
    ),
    Case("train_on_inputs", top={"train_on_inputs": True}, same_as={}),
    Case("excess length", top={"excess_length_strategy": "truncate"}, same_as={}),
    Case("shuffling", top={"shuffle_before_merging_datasets": True}, same_as={}),
    Case("chat options", dataset={"roles_to_train": [], "train_on_eos": "all"}, same_as={}),
]

DATA = [
    Case("no such column", dataset={"field": "body"}, refused="has no column 'body'; set `field`"),
    Case("numbers", dataset={"field": "n"}, rows=[{"n": 1}], refused="'n' holds int64, not text"),
    Case(
        "conversations as documents",
        dataset={"field": "messages"},
        rows=CHATS,
        refused="column 'messages' holds .*, not text",
    ),
    Case(
        "documents as conversations", dataset={"type": "cft.chat"}, refused="no column 'messages'"
    ),
    Case(
        "messages that are no JSON",
        dataset={"type": "cft.chat", "field_messages": "text"},
        refused="conversation 1 is a text, but not JSON",
    ),
    Case(
        "empty documents", rows=[{"text": ""}] * 3, refused="nothing to train on: 3 documents read"
    ),
    Case("all held out", block={"holdout": 0.999999}, refused="nothing to train on: 8 documents"),
    Case(
        "nothing held out",
        top={"test_datasets": [{"path": "DATA", "type": "cft"}]},
        block={"holdout": 1e-6},
        refused="none of its 8 documents fell into the held-out part",
    ),
    Case(
        "no column of prompts",
        block={"prompts": {"column": "prompt"}},
        refused="has no column 'prompt'; set `cft.prompts.column`",
    ),
    Case(
        "a blank prompt",
        block={"prompts": {"column": "topic"}},
        rows=[*TEXTS, {"id": "x", "text": "A text.", "topic": " "}],
        refused="document 9 has no prompt in column 'topic'",
    ),
    Case("lines of a text file", raw="A line.\nAnother.\n", refused="into one document per line"),
    Case(
        "tokenized beforehand",
        rows=[{"input_ids": [1, 5, 2], "attention_mask": [1, 1, 1], "labels": [1, 5, 2]}] * 4,
        refused="^datasets: the dataset that reached the trainer carries no stamp",
        upto="training",
    ),
    Case(
        "nobody to evaluate",
        block={"holdout": 0.3},
        warned="holdout: 0.3 keeps documents out of training, but no test_datasets",
    ),
    Case(
        "evaluated on what is trained",
        top={"test_datasets": [{"path": "DATA", "type": "cft", "field": "text"}]},
        warned=r"test_datasets\[0\] holds the documents that are trained on",
    ),
    Case("other columns", rows=[{**row, "extra": {"a": [1]}} for row in TEXTS], same_as={}),
    Case("some empty ones", rows=[*TEXTS, {"text": ""}, {"text": None}], same_as={}),
]

CASES = [
    pytest.param(case, id=f"{class_}: {case.name}")
    for class_, cases in {
        "wrong place": WRONG_PLACE,
        "misspelt": MISSPELT,
        "wrong launcher": WRONG_LAUNCHER,
        "host option": HOST_OPTIONS,
        "data": DATA,
    }.items()
    for case in cases
]


def test_the_table_is_as_long_as_it_should_be():
    classes = [WRONG_PLACE, MISSPELT, WRONG_LAUNCHER, HOST_OPTIONS, DATA, SECOND_REGISTRATIONS]
    assert all(len(cases) >= 10 for cases in classes)
    assert sum(map(len, classes)) >= 60


@pytest.fixture
def variable():
    """Sets the variable, and takes it away for good: `datasets` puts a copy in the place of
    `os.environ` (arrow_dataset.py::Dataset.map), so that `monkeypatch` would undo nothing."""
    yield lambda value: os.environ.update({PROMPTS_VARIABLE: value})
    os.environ.pop(PROMPTS_VARIABLE, None)


@pytest.fixture
def build(tmp_path, tiny_model) -> Callable[..., dict[str, Any]]:
    """A config of a case; without one, of the sound config with changes to its block."""

    def config(case: Case | None = None, block: dict[str, Any] | None = None) -> dict[str, Any]:
        case = case or Case("sound", block=block or {})
        data = tmp_path / "data.jsonl"
        if case.raw is not None:
            data = tmp_path / "data.txt"
            data.write_text(case.raw)
        else:
            write_jsonl(data, case.rows or TEXTS)
        made = host_config(tmp_path, tiny_model, data, max_steps=1)
        made["cft"] |= case.block or {}
        made["datasets"][0] |= case.dataset
        if case.block is None:
            del made["cft"]
        whole = json.dumps(made | case.top).replace('"DATA"', json.dumps(str(data)))
        return json.loads(whole)

    return config


def rows_of(meta: Any) -> list[tuple[Any, ...]]:
    return sorted((row["input_ids"], row["labels"]) for row in meta.train_dataset)


def one_sentence(text: str, pattern: str) -> None:
    assert re.search(pattern, text), text
    assert "\n" not in text and not re.search(r"[a-z]\. [A-Z]", text), text


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_or_warned_of_or_harmless(case, build, caplog, monkeypatch, variable):
    if case.variable is not None:
        variable(case.variable)
    monkeypatch.setattr("sys.argv", ["train.py", "config.yml", *case.argv])
    with caplog.at_level(logging.WARNING):
        if case.refused:
            upto = "rows" if case in DATA and case.upto == "load" else case.upto
            with pytest.raises(CFTError) as caught:
                go(upto, build(case), case.cli)
            one_sentence(str(caught.value), case.refused)
            return
        if case.warned:
            go(case.upto, build(case), case.cli)
            said = [message for message in caplog.messages if re.search(case.warned, message)]
            assert said, caplog.messages
            one_sentence(said[0], case.warned)
            return
        _, meta = prepare(build(case), **case.cli)
    assert not [message for message in caplog.messages if message.startswith("cft")]
    os.environ.pop(PROMPTS_VARIABLE, None)
    _, sound = prepare(build(block=case.same_as))
    assert rows_of(meta) == rows_of(sound)


def go(upto: str, config: dict[str, Any], cli: dict[str, Any]) -> None:
    if upto == "load":
        load_cfg(config, **cli)
    elif upto == "rows":
        prepare(config, **cli)
    else:
        fit(config)


@dataclass(frozen=True)
class Again:
    """A config that is registered a second time, validated, as Ray's workers do.

    `edit` changes it in between. `refused` is a pattern; without one, the plans are the same.
    """

    name: str
    changes: Callable[[dict[str, Any]], Any] = lambda config: None
    edit: Callable[[dict[str, Any]], Any] = lambda validated: None
    refused: str = ""


def nested(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Sets `a.0.b` of a config."""

    def change(config: Any) -> None:
        *parents, last = path.split(".")
        for key in parents:
            config = config[int(key) if isinstance(config, list) else key]
        config[int(last) if isinstance(config, list) else last] = value

    return change


def add_dataset(**options: Any) -> Callable[[dict[str, Any]], None]:
    return lambda config: config["datasets"].append({**config["datasets"][0], **options})


def hold_out(config: dict[str, Any]) -> None:
    config["cft"]["holdout"] = 0.4
    config["test_datasets"] = [{**config["datasets"][0], "cft": {"prompts": "fixed"}}]


def use_pool(text: str) -> Callable[[dict[str, Any]], None]:
    def write(config: dict[str, Any]) -> None:
        path = Path(config["output_dir"]).with_name("pool.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({"name": "x", "prompts": [{"id": "a", "text": text}]}))
        config["cft"]["prompts"] = str(path)

    return write


def switch_variable(config: dict[str, Any]) -> None:
    os.environ[PROMPTS_VARIABLE] = "negative"


REMOVE = "^cft_plans: axolotl-cft keeps its resolved plans here; remove the field"
SECOND_REGISTRATIONS = [
    Again("as it is"),
    Again("a dataset without prompts", nested("datasets.0.cft", {"prompts": "none"})),
    Again("a dataset with a column", nested("datasets.0.cft", {"prompts": {"column": "topic"}})),
    Again("a dataset with views", nested("datasets.0.cft", {"views": 3, "dropout": 0.1})),
    Again("a dataset with a seed", nested("datasets.0.cft", {"seed": 5})),
    Again("several datasets", add_dataset(cft={"prompts": "none"})),
    Again("a dataset twice", add_dataset()),
    Again("held-out documents", hold_out),
    Again("without a block", lambda config: config.pop("cft")),
    Again("without a seed", lambda config: config.pop("seed")),
    Again("a pool file", use_pool("A.")),
    Again("another variable", edit=switch_variable),
    Again("a pool edited", use_pool("A."), use_pool("B."), "pool x has changed since this run"),
    Again("the block edited", edit=nested("cft.prompts", "none"), refused=REMOVE),
    Again("the data edited", edit=nested("datasets.0.path", "other.jsonl"), refused=REMOVE),
    Again("the stamp gone", edit=nested("datasets.0.conversation", None), refused=REMOVE),
    Again("an option added", edit=nested("datasets.0.cft", {"prompts": "none"}), refused=REMOVE),
    Again("pasted", edit=nested("axolotl_config_path", "pasted.yml"), refused=REMOVE),
    Again("a user's plans", nested("cft_plans", {}), refused=REMOVE),
    Again("a user's text", nested("cft_plans", "paper"), refused=REMOVE),
]


@pytest.mark.parametrize("again", SECOND_REGISTRATIONS, ids=lambda again: again.name)
@pytest.mark.usefixtures("variable")
def test_a_second_registration_changes_nothing(again, build):
    from axolotl.cli.config import prepare_plugins
    from axolotl.utils.dict import DictDefault

    config = build()
    again.changes(config)

    def register_twice() -> tuple[dict[str, Any], Any]:
        PLANS.clear()
        validated = load_cfg(config).to_dict()
        again.edit(validated)
        first = dict(PLANS)
        PLANS.clear()
        prepare_plugins(DictDefault(validated))
        return first, validated

    if again.refused:
        with pytest.raises(CFTError) as caught:
            register_twice()
        one_sentence(str(caught.value), again.refused)
        return
    first, validated = register_twice()
    assert first and described(PLANS) == described(first)
    assert {d["conversation"] for d in validated["datasets"]} <= first.keys()


def described(plans: dict[str, Any]) -> dict[str, Any]:
    """Plans as plain data: a source says what it is by its identity."""
    return {stamp: {**vars(plan), "source": plan.source.identity} for stamp, plan in plans.items()}


def test_a_raw_config_registered_twice_is_registered_once(build):
    from axolotl.utils.dict import DictDefault

    from axolotl_cft.host.plugin import CFTPlugin

    cfg = DictDefault(build(Case("x", dataset={"cft": {"prompts": "none"}})))
    CFTPlugin().register(cfg)
    once = cfg.to_dict()
    CFTPlugin().register(cfg)
    assert cfg.to_dict() == once


def test_a_type_of_another_package_is_none_of_our_business(build, tmp_path, monkeypatch):
    from axolotl_cft.host.placement import check_placement

    config = build(Case("x", top={"datasets": [{"path": "DATA", "type": "axolotl_sft.strategy"}]}))
    with pytest.raises(CFTError, match="there is no 'axolotl_sft.strategy'"):
        check_placement(config, config, {"path", "type"})
    (tmp_path / "axolotl_sft").mkdir()
    (tmp_path / "axolotl_sft" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert check_placement(config, config, {"path", "type"}) == []


def test_string_views_are_text(build, tmp_path):
    """Polars and newer Arrow writers store text so."""
    _, sound = prepare(build())
    view = pa.array([row["text"] for row in TEXTS], pa.string_view())
    pq.write_table(pa.table({"text": view}), tmp_path / "views.parquet")
    config = build(Case("views", dataset={"path": str(tmp_path / "views.parquet")}))
    _, meta = prepare(config)
    assert rows_of(meta) == rows_of(sound)
