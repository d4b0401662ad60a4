"""Yes and no in a config that Axolotl has not validated yet: read as Axolotl will read them."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from axolotl_cft.errors import CFTError
from axolotl_cft.files import write_atomic
from axolotl_cft.host.checks import check_config
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.packing import lossless_overrides, missing_lines
from axolotl_cft.host.streaming import check_streaming
from axolotl_cft.host.tokens import read_tokens
from axolotl_cft.study.plan import leaves_adapter

NO = ["false", "False", "no", "off", "0", "n", "f", 0, 0.0, False]
YES = ["true", "TRUE", "yes", "on", "1", "y", "t", 1, 1.0, True]
NEITHER = ["", "maybe", "never", "none", 2, -1, [], {}, ["true"]]


class Host(BaseModel):
    """As the host declares such fields."""

    flag: bool | None = None


@pytest.mark.parametrize("value", [*NO, *YES, None])
def test_a_flag_says_what_the_host_takes_it_for(value: Any) -> None:
    expected = None if value is None else value in YES
    assert read_flag({"flag": value}, "flag") is Host(flag=value).flag is expected
    assert read_flag({}, "flag") is None


@pytest.mark.parametrize("value", NEITHER, ids=repr)
def test_what_is_no_boolean_is_refused_by_its_name_as_by_the_host(value: Any) -> None:
    with pytest.raises(ValueError):
        Host(flag=value)
    with pytest.raises(CFTError, match="^flag: expected true or false, got ") as caught:
        read_flag({"flag": value}, "flag")
    assert "\n" not in str(caught.value)


REMOTE_CODE = """
from pathlib import Path
from transformers import PreTrainedTokenizerFast

Path({marker!r}).write_text("run")

class Remote(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def remote(tmp_path: Path, sentencepiece_tokenizer: Any) -> Path:
    """A model's folder whose own code leaves the file `marker` beside it when it is run."""
    folder = tmp_path / "model"
    sentencepiece_tokenizer.save_pretrained(folder)
    code = REMOTE_CODE.format(marker=str(tmp_path / "marker"))
    (folder / "remote.py").write_text(code)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": [None, "remote.Remote"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def says(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


@pytest.mark.parametrize("value", ["false", "no", "off", "0", 0, "False", None])
def test_code_of_the_repository_is_not_run_where_the_config_says_no(
    tmp_path: Path, remote: Path, value: Any
) -> None:
    config = tmp_path / "config.yml"
    line = "" if value is None else f"trust_remote_code: {says(value)}\n"
    write_atomic(config, f"base_model: {remote}\n{line}")
    assert read_tokens(config, None).of_text("a word") > 0
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("value", ["true", "yes", 1, True])
def test_code_of_the_repository_is_run_where_the_config_says_yes(
    tmp_path: Path, remote: Path, value: Any
) -> None:
    write_atomic(
        tmp_path / "config.yml", f"base_model: {remote}\ntrust_remote_code: {says(value)}\n"
    )
    assert read_tokens(tmp_path / "config.yml", None).of_text("a word") > 0
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["trust_remote_code", "tokenizer_use_fast", "tokenizer_legacy"])
def test_a_tokenizer_option_that_is_neither_is_refused_before_anything_is_run(
    tmp_path: Path, remote: Path, name: str
) -> None:
    write_atomic(tmp_path / "config.yml", f"base_model: {remote}\n{name}: perhaps\n")
    with pytest.raises(CFTError, match=f"^{name}: expected true or false, got 'perhaps'$"):
        read_tokens(tmp_path / "config.yml", None)
    assert not (tmp_path / "marker").exists()


PACKED = {
    "sample_packing": True,
    "attn_implementation": "sdpa",
    "micro_batch_size": 2,
    "datasets": [{"path": "a", "type": "cft"}],
}


@pytest.mark.parametrize(("no", "yes"), [("false", "true"), ("off", "on"), (0, 1)])
def test_packing_is_judged_by_what_flags_say(no: Any, yes: Any) -> None:
    assert lossless_overrides({**PACKED, "sample_packing": no}) == {}
    assert lossless_overrides({**PACKED, "sample_packing": yes}) == lossless_overrides(PACKED) != {}
    assert lossless_overrides({**PACKED, "streaming": no}) == lossless_overrides(PACKED)
    several = {**PACKED, "datasets": PACKED["datasets"] * 2}  # type: ignore[operator]
    assert "curriculum_sampling" in lossless_overrides({**several, "shuffle_merged_datasets": yes})
    unshuffled = lossless_overrides({**several, "shuffle_merged_datasets": no})
    assert "curriculum_sampling" not in unshuffled
    assert missing_lines({**PACKED, "sample_packing": no}) == []
    in_order = missing_lines({**PACKED, "curriculum_sampling": yes})
    assert in_order != missing_lines({**PACKED, "curriculum_sampling": no}) == missing_lines(PACKED)
    whole = {**PACKED, "curriculum_sampling": True, "multipack_real_batches": no}
    assert missing_lines(whole) == []


def test_other_refusals_go_by_what_flags_say() -> None:
    sound = {"datasets": [{"path": "a", "type": "cft"}], "cft": {}}
    for name in ("skip_prepare_dataset", "reward_model", "process_reward_model"):
        check_config({**sound, name: "false"})
        with pytest.raises(CFTError, match=f"^{name}: "):
            check_config({**sound, name: "true"})
    packed = {**PACKED, "datasets": PACKED["datasets"] * 2}  # type: ignore[operator]
    check_streaming({**packed, "streaming": "false"}, 1)
    check_streaming({**packed, "streaming": "true", "sample_packing": "false"}, 1)
    with pytest.raises(CFTError, match="^streaming: with sample_packing"):
        check_streaming({**packed, "streaming": "true"}, 1)
    assert leaves_adapter({"adapter": "lora", "relora": "false"})
    assert not leaves_adapter({"adapter": "lora", "relora": "true"})
