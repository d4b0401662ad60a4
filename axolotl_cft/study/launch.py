"""The commands that start a study's programs: as the study gives them, and for one config."""

import shlex
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Launch(BaseModel):
    """How each kind of work is started; `{config}` stands for the derived config's path."""

    model_config = ConfigDict(extra="forbid")

    prepare: str = "axolotl preprocess {config}"
    train: str = "accelerate launch -m axolotl.cli.train {config}"
    merge: str = "axolotl merge-lora {config}"
    consolidate: str = "axolotl merge-sharded-fsdp-weights {config} --launcher python"
    evaluate: str = Field(default="lm_eval", description="lm-eval's options are appended.")


def launch_command(template: str, config: Path) -> tuple[str, ...]:
    """Program and arguments that work on a config.

    Args:
        template: a command line as a shell would take it; the path is appended to one that has
            no `{config}`.
        config: path of the config.
    """
    path = str(config)
    words = tuple(word.replace("{config}", path) for word in shlex.split(template))
    return words if "{config}" in template else (*words, path)
