"""An Axolotl plugin that makes training slow, so that it can be disturbed; no weight changes."""

import os
import time
from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback


class Pause(TrainerCallback):
    def on_step_end(self, *arguments: Any, **options: Any) -> None:
        time.sleep(float(os.environ.get("SLOW_STEP_SECONDS", "0")))


class SlowSteps(BasePlugin):
    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        return [Pause()]
