"""The card of a saved model says what was trained, once, and only where data of ours were."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers.trainer
import yaml
from conftest import make_documents, write_jsonl
from host import fit, host_config, prepare
from test_host import LORA

from axolotl_cft.errors import CFTError
from axolotl_cft.host.model_card import ARXIV_TAG, complete_card, with_section
from axolotl_cft.host.plugin import CFTPlugin
from axolotl_cft.prompts.registry import load_pool

HEADING = "## What was trained\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "corpus.jsonl", make_documents(16))


@pytest.fixture
def config(tmp_path: Path, tiny_model: Path, corpus: Path) -> dict[str, Any]:
    return host_config(tmp_path, tiny_model, corpus)


def card_of(config: dict[str, Any]) -> str:
    return (Path(config["output_dir"]) / "README.md").read_text(encoding="utf-8")


def metadata(card: str) -> dict[str, Any]:
    """What stands between the two lines at the top, as the hub reads it."""
    from huggingface_hub import ModelCard

    return ModelCard(card).data.to_dict()


def section(card: str) -> str:
    """Ours, which must be there once."""
    [found] = card.split("<!-- axolotl-cft -->\n")[1:]
    return found.split("<!-- /axolotl-cft -->")[0]


def test_the_card_names_method_pool_counts_and_digest(config: dict[str, Any]) -> None:
    fit(config)
    card = card_of(config)
    ledger = json.loads((Path(config["output_dir"]) / "cft_ledger.json").read_text())
    said = section(card)
    assert said.startswith(HEADING) and "contextual fine-tuning (CFT);" in said
    assert f"pool `paper`, 10 prompts, fingerprint `{load_pool('paper').fingerprint}`" in said
    assert "Documents: 16 of 16, 0 held out" in said
    assert f"Trained tokens: {ledger['trained']['tokens']:,} in 2 steps" in said
    assert f"`{ledger['train']['targets_digest']}`" in said
    assert f"axolotl-cft {ledger['software'][0]['versions']['axolotl-cft']};" in said
    assert metadata(card)["tags"] == ["generated_from_trainer", ARXIV_TAG]
    assert metadata(card)["library_name"] == "transformers"
    assert "## Training procedure" in card  # the host's
    assert str(Path(config["output_dir"]).parent) not in said
    assert not list(Path(config["output_dir"]).glob(".README*"))

    fit({**config, "cft": {**config["cft"], "prompts": "negative"}})  # into the same folder
    again = section(card_of(config))
    assert "(−CFT), a control;" in again and "pool `negative`" in again
    assert metadata(card_of(config))["tags"].count(ARXIV_TAG) == 1


def test_a_resumed_training_writes_one_section_with_all_that_was_trained(
    config: dict[str, Any],
) -> None:
    config |= {"save_strategy": "steps", "save_steps": 2}
    fit(config)
    config |= {"max_steps": 4, "auto_resume_from_checkpoints": True}
    assert fit(config).state.global_step == 4
    assert " in 4 steps" in section(card_of(config))


def test_plain_cpt_is_a_control_and_not_the_papers_method(config: dict[str, Any]) -> None:
    config["cft"] = {"prompts": "none", "prompt_budget": 96}
    fit(config)
    assert "continued pre-training (CPT) without contextual prompts" in section(card_of(config))
    assert ARXIV_TAG not in metadata(card_of(config))["tags"]


def test_an_adapters_card_keeps_what_peft_says(config: dict[str, Any]) -> None:
    fit({**config, **LORA})
    card = card_of(config)
    assert section(card).startswith(HEADING) and "- PEFT " in card
    assert metadata(card)["library_name"] == "peft"
    assert metadata(card)["tags"].count(ARXIV_TAG) == 1 and "lora" in metadata(card)["tags"]


def test_other_datasets_are_named_and_others_alone_leave_the_card_as_it_is(
    config: dict[str, Any], tmp_path: Path
) -> None:
    alpaca = [{"instruction": f"Say {i}.", "input": "", "output": f"{i}."} for i in range(16)]
    other = {"path": str(write_jsonl(tmp_path / "alpaca.jsonl", alpaca)), "type": "alpaca"}
    mixed = {**config, "datasets": [*config["datasets"], other]}
    fit(mixed)
    assert "those of other datasets among them" in section(card_of(config))

    alone = {key: value for key, value in config.items() if key != "cft"}
    fit({**alone, "datasets": [other]})  # into the same folder
    assert HEADING not in card_of(config) and ARXIV_TAG not in card_of(config)


def test_a_stream_has_no_numbers_and_takes_none_from_an_earlier_run(
    config: dict[str, Any], tmp_path: Path
) -> None:
    fit(config)
    fit({**config, "streaming": True, "dataset_prepared_path": str(tmp_path / "other")})
    said = section(card_of(config))
    assert "pool `paper`" in said and "axolotl-cft" in said
    assert "Documents" not in said and "digest" not in said


def test_replay_and_pool_files_are_named_without_paths(
    config: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    pool = tmp_path / "secret" / "mine.yaml"
    pool.parent.mkdir()
    pool.write_text("name: mine\nprompts: [{id: a, text: Read on.}, {id: b, text: Look.}]\n")
    rows = [{"text": row["text"][::-1]} for row in make_documents(16)]
    replay = {"path": str(write_jsonl(tmp_path / "general.jsonl", rows)), "type": "cft"}
    config["datasets"].append(replay | {"cft": {"prompts": "none"}})
    config["cft"]["prompts"] = str(pool)
    fit(config)
    said = section(card_of(config))
    assert "Method: contextual fine-tuning (CFT); continued pre-training (CPT) without" in said
    assert "pool `mine`, 2 prompts, fingerprint `" in said and "; none\n" in said
    assert "secret" not in said


def test_a_pushed_model_has_the_tag_and_the_log_says_how_to_bring_the_card(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pushed = []

    class Hub:
        def create_repo(self, name: str, **options: Any) -> Any:
            return type("Repo", (), {"repo_id": name})

        def upload_folder(self, *, folder_path: str, **options: Any) -> None:
            pushed.append((Path(folder_path) / "README.md").read_text(encoding="utf-8"))

    monkeypatch.setattr(transformers.trainer, "hf_api", Hub)
    with caplog.at_level("INFO"):
        fit({**config, "hub_model_id": "someone/model", "hub_strategy": "end"})
    assert ARXIV_TAG in metadata(pushed[-1])["tags"]
    assert HEADING not in pushed[-1]
    assert section(card_of(config)).startswith(HEADING)
    assert metadata(card_of(config))["tags"].count(ARXIV_TAG) == 1
    path = Path(config["output_dir"]) / "README.md"
    assert caplog.text.count(f"`hf upload someone/model {path} README.md`") == 1


def test_other_ranks_write_nothing(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, _ = prepare(config)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/README.md").write_text("as it was")
    CFTPlugin().post_train(cfg, None)
    assert card_of(config) == "as it was"


def test_nothing_is_raised_and_nothing_made(
    config: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg, _ = prepare(config)
    complete_card(cfg)
    assert not (tmp_path / "out/README.md").exists()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/README.md").write_text("a card, and no ledger beside it")
    complete_card(cfg)
    assert card_of(config) == "a card, and no ledger beside it"
    assert "the model's card does not say what was trained: cannot read" in caplog.text


CARDS = [
    "",
    "no head\n",
    "---\n---\n# Model\n",
    "---\nlibrary_name: peft\n---\n# Model\n",
    "---\ntags:\n- generated_from_trainer\nlicense: mit\n---\n\n# Model\n\n---\n\nrule\n",
    "---\ntags: [lora, 'x: y']\n---\n# Model\n",
    "---\ntags:\n- arxiv:2503.09032\n---\n# Model\n",
    "---\nmodel-index:\n- name: a/b\n  results: []\n---\n# Model",
]


@pytest.mark.parametrize("card", CARDS)
def test_the_rest_of_a_card_stays_and_a_second_time_changes_nothing(card: str) -> None:
    tags = yaml.safe_load(card.split("---\n")[1]) if card.startswith("---\n") else {}
    had = (tags or {}).get("tags", [])
    once = with_section(card, HEADING + "\nfirst", [ARXIV_TAG])
    assert with_section(once, HEADING + "\nfirst", [ARXIV_TAG]) == once
    twice = with_section(once, HEADING + "\nsecond", [ARXIV_TAG])
    assert section(twice) == HEADING + "\nsecond\n" and "first" not in twice
    read = yaml.safe_load(once.split("---\n")[1])
    assert read["tags"] == [*(tag for tag in had if tag != ARXIV_TAG), ARXIV_TAG]
    assert {**read, "tags": had} == {"tags": had, **(tags or {})}
    assert ("# Model" in once) == ("# Model" in card) and ("\nrule\n" in once) == ("rule" in card)


def test_a_card_whose_head_is_no_yaml_is_refused() -> None:
    with pytest.raises(CFTError, match=r"README\.md"):
        with_section("---\ntags: [\n---\n", HEADING, [ARXIV_TAG])


def test_without_a_tag_the_head_stays_as_it_is() -> None:
    card = "---\nanything: {goes\n---\nbody\n"
    assert with_section(card, HEADING, []).startswith(card)
