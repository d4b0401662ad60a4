"""Every recipe in example_configs/ goes through Axolotl: its validation, its data, two steps."""

import json
import logging
import math
import re
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import make_documents, slow, write_jsonl
from host import import_all

from axolotl_cft.host.local_files import local_files, looks_local
from axolotl_cft.study.spec import RESERVED, Stage, apply_overrides, read_study

CONFIG_DIR = Path(__file__).resolve().parents[1] / "example_configs"
NO_TRAINING = ("study_", "corpus_")
RECIPES = sorted(p for p in CONFIG_DIR.glob("*.yml") if not p.name.startswith(NO_TRAINING))

FORCED_BY_CPU_WITHOUT_HUB = frozenset(
    {
        # the model and everything that lies on disk
        "base_model",
        "datasets.path",
        "test_datasets.path",
        "dataset_prepared_path",
        "output_dir",
        # sharding, attention, precision, quantization, optimizer
        "fsdp_version",
        "fsdp_config",
        "attn_implementation",
        "bf16",
        "fp16",
        "tf32",
        "load_in_4bit",
        "adapter",
        "optimizer",
        # Triton kernels
        "lora_mlp_kernel",
        "lora_qkv_kernel",
        "lora_o_kernel",
        "plugins",
        "liger_rope",
        "liger_rms_norm",
        "liger_fused_linear_cross_entropy",
        # lengths and batch
        "sequence_len",
        "cft.every",
        "datasets.cft.trained_tokens",
        "max_steps",
        "micro_batch_size",
        "gradient_accumulation_steps",
    }
)
"""The only keys that the test may change. Everything else must work as it is written."""

LIGER = "axolotl.integrations.liger.LigerPlugin"
"""A plugin of the host's whose kernels need a GPU."""

FEWER = 50_000
"""What `trained_tokens` are divided by."""


def overridden(recipe: dict, base_model: Path, folder: Path) -> dict:
    """`recipe` for a CPU without the hub."""
    config = dict(recipe) | {
        "base_model": str(base_model),
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        "attn_implementation": "sdpa",
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "optimizer": "adamw_torch",
        "sequence_len": 256,
        "max_steps": 2,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 1,
    }
    for key in ("fsdp_version", "fsdp_config", "load_in_4bit"):
        config.pop(key, None)
    for key in [key for key in config if key.endswith("_kernel") or key.startswith("liger_")]:
        config[key] = False
    if "plugins" in config:
        config["plugins"] = [name for name in config["plugins"] if name != LIGER]
    if config.get("adapter") == "qlora":
        config["adapter"] = "lora"
    config |= with_documents(config, folder)
    if "every" in config.get("cft", {}):
        config["cft"] = config["cft"] | {"every": 8}
        config["sequence_len"] = 512  # three prompts, each with its budget
    return config


def with_documents(config: dict, folder: Path) -> dict:
    """The config's lists of datasets, of local documents."""
    lists = {key: config[key] for key in ("datasets", "test_datasets") if config.get(key)}
    return {key: [shrunk(item, folder) for item in items] for key, items in lists.items()}


def shrunk(dataset: dict, folder: Path) -> dict:
    """A dataset of local documents, with as large a part of a small budget."""
    shrunk = dict(dataset, path=str(data_for(dataset, folder)))
    if tokens := dataset.get("cft", {}).get("trained_tokens"):
        shrunk["cft"] = dataset["cft"] | {"trained_tokens": max(1, tokens // FEWER)}
    return shrunk


def data_for(dataset: dict, folder: Path) -> Path:
    """A local file of the kind that the recipe names: raw documents or conversations."""
    if dataset["type"] == "cft":
        documents = make_documents(800, words=24)  # 1 % of them is a held-out part
        for number, document in enumerate(documents):
            document["document"] = document["id"]
            document["url"] = f"site{number % 3}.example" if number % 3 else None
            document[dataset.get("field", "text")] = document["text"]
        if "ds_type" not in dataset:
            return write_jsonl(folder / "corpus.jsonl", documents)
        for number in range(2):  # a folder of shards, as `corpus make` leaves one
            shard = folder / "data" / f"shard-{number:05}.parquet"
            shard.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(documents[number::2]), shard)
        return folder / "data"
    question = {"role": "user", "content": "What does insulin do?"}
    answer = {"role": "assistant", "content": "It lets cells take up glucose."}
    return write_jsonl(folder / "chat.jsonl", [{"messages": [question, answer]}] * 200)


def changed_keys(before: dict, after: dict) -> set[str]:
    """Keys whose values differ, those of the dataset lists and of `cft` spelled out."""
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    if "cft" in changed:
        changed.remove("cft")
        changed |= {f"cft.{key}" for key in changed_keys(before["cft"], after["cft"])}
    for part in changed & {"datasets", "test_datasets"}:
        changed.remove(part)
        assert len(before[part]) == len(after[part])
        for old, new in zip(before[part], after[part], strict=True):
            changed |= {f"{part}.{key}" for key in changed_keys(old, new)}
    return changed


EVERY_DAY = {"cft_llama2", "cft_qlora", "cft_t4", "demo", "ift_llama2"}


@pytest.mark.parametrize(
    "path",
    [
        *(path for path in RECIPES if path.stem in EVERY_DAY),
        *slow(*(path for path in RECIPES if path.stem not in EVERY_DAY)),
    ],
    ids=lambda path: path.stem,
)
def test_recipe_trains_two_steps(path, tiny_model, tmp_path, monkeypatch):
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager
    from axolotl.train import train

    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = overridden(recipe, tiny_model, tmp_path)
    assert changed_keys(recipe, config) <= FORCED_BY_CPU_WITHOUT_HUB
    config_file = tmp_path / path.name
    config_file.write_text(yaml.safe_dump(config), encoding="utf-8")

    monkeypatch.setenv("AXOLOTL_DATASET_NUM_PROC", "1")  # another process would import the host
    monkeypatch.chdir(CONFIG_DIR.parent)  # from where a recipe names a pool of its own
    import_all()
    PluginManager.get_instance().plugins.clear()  # a singleton: the last recipe's are still there
    cfg = load_cfg(str(config_file))
    PluginManager.get_instance().load_datasets(cfg, preprocess=False)  # as the host's command does
    _, _, trainer = train(cfg, load_datasets(cfg=cfg))

    assert trainer.state.global_step == 2
    loss = next(entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry)
    assert math.isfinite(loss) and loss > 0
    ledger_file = tmp_path / "out" / "cft_ledger.json"
    assert ledger_file.exists() == ("plugins" in recipe)
    if "plugins" in recipe:
        ledger = json.loads(ledger_file.read_text(encoding="utf-8"))
        mixed = any(dataset["type"] != "cft" for dataset in recipe["datasets"])
        assert ledger["reached_trainer"]["mixed_with_other_datasets"] == mixed
        assert mixed or ledger["reached_trainer"]["trained_tokens_lost"] == 0
        assert (ledger["test"] is None) == ("test_datasets" not in recipe)
        assert ledger["test"] is None or ledger["test"]["used"] > 0
        assert ledger["test"] is None or ledger["test"]["prompt_tokens"] == 0
    if check := CHECKS.get(path.stem):
        check(trainer)


def prompted(labels: list[int]) -> bool:
    """Whether more than BOS is masked."""
    return sum(label == -100 for label in labels) > 1


def assert_prompts_then_none(trainer):
    """The trainer meets all rows with a prompt first, then those without."""
    found = [
        prompted([label for label, real in zip(labels, mask, strict=True) if real])
        for batch in trainer.get_train_dataloader()
        for labels, mask in zip(
            batch["labels"].tolist(), batch["attention_mask"].tolist(), strict=True
        )
    ]
    first_bare = found.index(False)
    assert 0 < first_bare < len(found) - 1
    assert not any(found[first_bare:])


def assert_urls_then_none(trainer):
    """Every prompt says where its document is from, and the last rows have none."""
    assert_prompts_then_none(trainer)
    said = {
        trainer.processing_class.decode(row["input_ids"][1:trained]).strip()
        for row in trainer.train_dataset
        if (trained := [label != -100 for label in row["labels"]].index(True)) > 1
    }
    assert said == {"URL: site1.example", "URL: site2.example", "URL: unknown"}


def assert_shares(trainer):
    """The domain is trained with prompts and general text without, as many tokens as written."""
    trained = {True: 0, False: 0}
    for row in trainer.train_dataset:
        trained[prompted(row["labels"])] += sum(label != -100 for label in row["labels"])
    for with_prompts, tokens in ((True, 400_000_000 // FEWER), (False, 100_000_000 // FEWER)):
        assert tokens - 256 < trained[with_prompts] <= tokens  # less a part of a row


def assert_long_rows(trainer):
    """Prompts stand inside a row, and the model that is saved reads 32k tokens."""
    masked = [
        "".join("-x"[label != -100] for label in row["labels"]) for row in trainer.train_dataset
    ]
    assert any(re.fullmatch("-+x{8}-{2,}x{8}-{2,}x{1,8}", row) for row in masked)
    config = json.loads((Path(trainer.args.output_dir) / "config.json").read_text(encoding="utf-8"))
    assert config["rope_parameters"]["rope_type"] == "yarn"
    assert config["max_position_embeddings"] == 32768


CHECKS = {
    "cooldown": assert_prompts_then_none,
    "metadata": assert_urls_then_none,
    "replay": assert_shares,
    "long_context": assert_long_rows,
}
"""What a recipe is for, beside training."""


# ---- on cards that are not here ----

CARDS = {"A100": "sm_80", "RTX 4090": "sm_89", "H100": "sm_90"}

OLDER_CARDS = {"T4": "sm_75"}
"""Without bf16 and tf32: for recipes that say so."""

TORCH = version("torch").partition("+")[0]
"""As on a machine with such a card; on this one it may be built for CPUs."""


def trainings_of_a_study(path: Path) -> dict[str, dict]:
    """Every config that a study would train, by arm and stage, before the study adds its own."""
    study = read_study(path)
    stages = study.stages or {"": Stage()}
    found = {}
    for number, (name, stage) in enumerate(stages.items()):
        base = stage.base or study.base
        config = yaml.safe_load((path.parent / base).read_text(encoding="utf-8"))
        config = apply_overrides(config, stage.overrides)
        for arm, block in study.arms.items():
            if not block.get("train", True):
                continue
            own = {key: value for key, value in block.items() if key not in RESERVED}
            found[f"{path.stem} {arm} {name}"] = config if number else apply_overrides(config, own)
    return found


def config_on_page(page: str) -> dict:
    """The first YAML block of a page that is a whole config."""
    text = (CONFIG_DIR.parent / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.M | re.S)
    return next(yaml.safe_load(block) for block in blocks if "base_model:" in block)


def different_ones(trainings: dict[str, dict]) -> dict[str, dict]:
    """One of those that differ in what is nothing to the host's validation, as most arms do."""
    ours = ("cft", "datasets", "test_datasets", "dataset_prepared_path", "output_dir")
    seen: dict[str, str] = {}
    for name, config in trainings.items():
        rest = {key: value for key, value in config.items() if key not in ours}
        seen.setdefault(json.dumps(rest, sort_keys=True), name)
    return {name: trainings[name] for name in seen.values()}


TRAININGS = {
    **{path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in RECIPES},
    **different_ones(
        {
            name: config
            for path in sorted(CONFIG_DIR.glob("study_*.yml"))
            for name, config in trainings_of_a_study(path).items()
        }
    ),
    "chat.md": config_on_page("chat.md"),
}
"""What we hand out to train: recipes, what studies make of them, and the page on chats."""

HARMLESS = {
    ("study_rivals", "no test_datasets of type cft evaluate them"): "the study has a step for them",
}
"""Recipe and what a warning says -> why it is nothing to this one."""


def warnings_on(card: str, config: dict, folder: Path) -> list[str]:
    """What the host and the plugin warn of when a config is validated for such cards.

    Eight of them where it shards the model, else one.

    Raises:
        ValueError: the host refuses it.
    """
    from axolotl.cli.config import prepare_plugins
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    import_all()
    PluginManager.get_instance().plugins.clear()
    folder.mkdir(exist_ok=True)
    elsewhere = {
        "base_model": "some/model"
    }  # the demo's is made on the machine, and not loaded here
    cfg = DictDefault(deepcopy(config | with_documents(config, folder) | elsewhere))
    found = Collector()
    loggers = [logging.getLogger("axolotl"), logging.getLogger()]  # the host's ends at its own
    for logger in loggers:
        logger.addHandler(found)
    try:
        prepare_plugins(cfg)
        gpus = 8 if "fsdp_config" in config else 1
        ampere = card in CARDS
        supports = {"bf16": ampere, "tf32": ampere, "fp8": card == "H100", "n_gpu": gpus}
        validate_config(
            cfg,
            capabilities={**supports, "compute_capability": (CARDS | OLDER_CARDS)[card]},
            env_capabilities={"torch_version": TORCH},
        )
    finally:
        for logger in loggers:
            logger.removeHandler(found)
    return found.texts


class Collector(logging.Handler):
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.mark.parametrize("name", TRAININGS)
def test_the_host_has_nothing_to_say_against_a_recipe_on_any_card(name, tmp_path, monkeypatch):
    monkeypatch.chdir(CONFIG_DIR.parent)
    harmless = [said for recipe, said in HARMLESS if name.startswith(recipe)]
    for card in (CARDS | OLDER_CARDS) if "_t4" in name else CARDS:
        found = warnings_on(card, TRAININGS[name], tmp_path / "data")
        assert [text for text in found if not any(said in text for said in harmless)] == [], card


def test_packing_with_sdpa_in_bf16_would_be_warned_of_below_hopper(tmp_path):
    config = TRAININGS["cft_qlora"] | {"attn_implementation": "sdpa"}
    loss = {
        card: any("0.0 loss" in text for text in warnings_on(card, config, tmp_path / "data"))
        for card in CARDS
    }
    assert loss == {"A100": True, "RTX 4090": True, "H100": False}


def test_bf16_would_be_warned_of_on_a_t4(tmp_path):
    config = TRAININGS["cft_t4"] | {"fp16": False, "bf16": True}
    said = "bf16 requested, but AMP is not supported on this GPU"
    warned = {
        card: any(said in text for text in warnings_on(card, config, tmp_path / "data"))
        for card in ("T4", "A100")
    }
    assert warned == {"T4": True, "A100": False}


def test_the_t4_recipe_trains_float32_adapters_beside_fp16_weights(tiny_model, tmp_path):
    """A gradient scaler refuses gradients in fp16 ("Attempting to unscale FP16 gradients")."""
    from axolotl.cli.config import load_cfg
    from axolotl.integrations.base import PluginManager
    from axolotl.loaders import ModelLoader, load_tokenizer

    config = overridden(TRAININGS["cft_t4"], tiny_model, tmp_path) | {"fp16": True}
    (tmp_path / "t4.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    import_all()
    PluginManager.get_instance().plugins.clear()
    cfg = load_cfg(str(tmp_path / "t4.yml"))
    model, _ = ModelLoader(cfg, load_tokenizer(cfg)).load()
    found = {(weights.requires_grad, str(weights.dtype)) for weights in model.parameters()}
    assert found == {(True, "torch.float32"), (False, "torch.float16")}


def test_the_other_corpus_of_the_t4_recipe_is_one_on_the_hub(tmp_path):
    text = (CONFIG_DIR / "cft_t4.yml").read_text(encoding="utf-8")
    (block,) = re.findall(r"In both lists:\n#\n((?:#   .*\n)+)", text)
    [dataset] = yaml.safe_load(re.sub("(?m)^#", "", block))
    assert (dataset["path"], dataset["type"], dataset["field"]) == ("PleIAs/SEC", "cft", "text")
    for found in (dataset, *TRAININGS["cft_t4"]["datasets"]):
        assert not looks_local(found) and not local_files(found)
    lists = {"datasets": [dataset], "test_datasets": [dataset]}
    assert warnings_on("T4", TRAININGS["cft_t4"] | lists, tmp_path / "data") == []


def test_the_plugin_s_own_warnings_count_too(tmp_path):
    config = TRAININGS["demo"] | {"seed": None}
    assert any("no `seed`" in text for text in warnings_on("A100", config, tmp_path / "data"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trust_remote_code": True}, "not compatible with trust_remote_code"),
        ({"liger_cross_entropy": True}, "liger_cross_entropy"),
        ({"cut_cross_entropy": True, "plugins": ["CCE", LIGER]}, "cut_cross_entropy"),
    ],
    ids=["remote code", "two Liger losses", "Liger's loss and another"],
)
def test_kernels_that_do_not_go_together_would_be_refused(change, said, tmp_path):
    config = TRAININGS["cft_qlora"] | change
    config["plugins"] = [CUT if name == "CCE" else name for name in config["plugins"]]
    with pytest.raises(ValueError, match=said):
        warnings_on("RTX 4090", config, tmp_path / "data")


CUT = "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"


def test_cut_cross_entropy_in_place_of_liger_s_loss_is_accepted(tmp_path):
    text = (CONFIG_DIR / "cft_qlora.yml").read_text(encoding="utf-8")
    assert CUT in text and "`cut_cross_entropy: true`" in text
    config = TRAININGS["cft_qlora"] | {"cut_cross_entropy": True}
    config["plugins"] = [*config["plugins"], CUT]
    del config["liger_fused_linear_cross_entropy"]
    assert warnings_on("RTX 4090", config, tmp_path / "data") == []


KERNELS = r"- axolotl\.integrations\.\S+|liger_\w+: true|cut_cross_entropy: true"
"""What is written into recipes as comments, for those who have the cards."""


def with_kernels(name: str) -> dict:
    """A recipe whose comments on kernels are taken at their word, every one of them."""
    text = (CONFIG_DIR / f"{name}.yml").read_text(encoding="utf-8")
    text, lines = re.subn(rf"(?m)^( *)# ({KERNELS})", r"\1\2", text)
    assert lines == 7
    return yaml.safe_load(text)


def one_loss(config: dict, loss: str) -> dict:
    """The config with one of the two fused losses, and its plugin alone."""
    other, plugin = {
        "liger": ("cut_cross_entropy", CUT),
        "cut": ("liger_fused_linear_cross_entropy", None),
    }[loss]
    kept = {key: value for key, value in config.items() if key != other}
    return kept | {"plugins": [name for name in config["plugins"] if name != plugin]}


SHARDED = [name for name, config in TRAININGS.items() if "fsdp_config" in config]


@pytest.mark.parametrize("loss", ["liger", "cut"])
@pytest.mark.parametrize("name", ["cft_llama2", "long_context"])
def test_kernels_in_a_comment_are_accepted(name, loss, tmp_path):
    config = one_loss(with_kernels(name), loss)
    for card in CARDS:
        assert warnings_on(card, config, tmp_path / "data") == []


@pytest.mark.parametrize("name", ["cft_llama2", "long_context"])
def test_both_losses_of_the_comments_together_would_be_refused(name, tmp_path):
    with pytest.raises(ValueError, match="cut_cross_entropy"):
        warnings_on("A100", with_kernels(name), tmp_path / "data")


def test_cut_cross_entropy_without_half_precision_would_be_refused(tmp_path):
    config = one_loss(with_kernels("cft_llama2"), "cut") | {"bf16": False}
    with pytest.raises(ValueError, match=r"Cut Cross Entropy requires fp16/bf16"):
        warnings_on("A100", config, tmp_path / "data")


@pytest.mark.parametrize("name", SHARDED)
def test_recipes_that_point_at_these_lines_take_them(name, tmp_path):
    found = one_loss(with_kernels("cft_llama2"), "liger")
    kernels = {key: value for key, value in found.items() if key.startswith("liger_")}
    assert len(kernels) == 4
    config = TRAININGS[name] | kernels
    config["plugins"] = [*config.get("plugins", []), LIGER]
    harmless = [said for recipe, said in HARMLESS if name.startswith(recipe)]
    warned = warnings_on("A100", config, tmp_path / "data")
    assert [text for text in warned if not any(said in text for said in harmless)] == []


def test_every_sharded_recipe_has_the_lines_or_points_at_them():
    for path in RECIPES:
        text = path.read_text(encoding="utf-8")
        if "fsdp_config:" in text:
            assert "# liger_rope: true" in text or "kernels: cft_llama2.yml has the lines" in text


def test_the_recipe_for_one_card_uses_the_host_s_fast_kernels():
    config = TRAININGS["cft_qlora"]
    assert config["lora_mlp_kernel"] and config["lora_qkv_kernel"] and config["lora_o_kernel"]
    assert not config["lora_dropout"]


# ---- the files ----


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_complete(path):
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(recipe["seed"], int)
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_recipes_do_not_share_prepared_folders():
    recipes = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in RECIPES]
    folders = [recipe["dataset_prepared_path"] for recipe in recipes]
    assert len(set(folders)) == len(folders)
    outputs = [recipe["output_dir"] for recipe in recipes]
    assert len(set(outputs)) == len(outputs)


def test_published_recipe_has_the_published_settings():
    recipe = yaml.safe_load((CONFIG_DIR / "cft_llama2.yml").read_text(encoding="utf-8"))
    gpus = 8
    assert recipe["micro_batch_size"] * recipe["gradient_accumulation_steps"] * gpus == 128
    published = {
        "num_epochs": 1,
        "learning_rate": 2e-5,
        "sequence_len": 4096,
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-5,
        "weight_decay": 0.1,
        "lr_scheduler": "cosine",
        "warmup_ratio": 0.05,
        "max_grad_norm": 1.0,
    }
    assert {key: recipe[key] for key in published} == published
