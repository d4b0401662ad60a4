"""Run the real Axolotl in this process, as its command line does (a CLI start costs 20-40 s)."""

import functools
import gc
from pathlib import Path
from typing import Any

import axolotl.cli  # noqa: F401  (sets up logging when imported; in a test that would undo caplog)
import yaml
from datasets import Dataset

_save_to_disk = Dataset.save_to_disk


def _save_here(self: Dataset, *arguments: Any, num_proc: Any = None, **options: Any) -> None:
    """The host saves even one shard from a process of its own, whose imports take 2.5 s."""
    _save_to_disk(self, *arguments, **options)


Dataset.save_to_disk = _save_here


@functools.cache
def import_all() -> None:
    """Import what the host needs, and take it out of the garbage collector's sight.

    The host collects several times a training, and a look through all of torch takes half a second.
    """
    import axolotl.common.datasets
    import axolotl.core.builders
    import axolotl.train  # noqa: F401

    gc.collect()
    gc.freeze()


def host_config(folder: Path, model: Path, data: Path, **overrides: Any) -> dict[str, Any]:
    """A complete small config; everything it writes stays below `folder`."""
    return {
        "base_model": str(model),
        "plugins": ["axolotl_cft.CFTPlugin"],
        "datasets": [{"path": str(data), "type": "cft", "field": "text"}],
        "cft": {"prompts": "paper", "prompt_budget": 96},
        "seed": 7,
        "sequence_len": 192,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "max_steps": 2,
        "num_epochs": 1,
        "learning_rate": 1e-3,
        "optimizer": "adamw_torch",
        "lr_scheduler": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "output_dir": str(folder / "out"),
        "dataset_prepared_path": str(folder / "prepared"),
        "dataset_num_proc": 1,
        "special_tokens": {"pad_token": "</s>"},
        **overrides,
    }


def write_config(path: Path, config: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def load_cfg(config: dict[str, Any], **cli: Any) -> Any:
    """The validated config, as every command gets it."""
    from axolotl.cli.config import load_cfg as host_load_cfg
    from axolotl.integrations.base import PluginManager

    import_all()
    # The manager is a singleton that keeps the plugins of earlier configs of this process.
    PluginManager.get_instance().plugins.clear()
    folder = Path(config["output_dir"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    return host_load_cfg(str(write_config(folder / "config.yml", config)), **cli)


def prepare(config: dict[str, Any], preprocess: bool = False, **cli: Any) -> tuple[Any, Any]:
    """(cfg, dataset meta) as `axolotl train` or `axolotl preprocess` would have them."""
    from axolotl.common.datasets import load_datasets
    from axolotl.integrations.base import PluginManager

    cfg = load_cfg(config, **cli)
    cfg.is_preprocess = preprocess or None
    manager = PluginManager.get_instance()
    meta = manager.load_datasets(cfg, preprocess=preprocess)
    return cfg, meta or load_datasets(cfg=cfg)


def fit(config: dict[str, Any]) -> Any:
    """Train; returns the host's trainer."""
    from axolotl.train import train

    cfg, meta = prepare(config)
    return train(cfg=cfg, dataset_meta=meta)[2]


def losses(trainer: Any) -> list[float]:
    """The training loss of each logged step."""
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
