"""Axolotl's plugin: registration, cache identity, refusals, and the ledger at the trainer.

The host calls `register` with the raw config before validation, in every process and command;
`load_datasets` after validation and before any data; `get_training_args` while the trainer is
made, `post_trainer_create` before the first step, `post_train` twice, before the model is saved and
when all is written (axolotl/integrations/base.py::BasePlugin).
"""

import os
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin
from axolotl.loaders import load_tokenizer
from axolotl.loaders.utils import load_model_config
from axolotl.utils.distributed import is_local_main_process, is_main_process
from axolotl.utils.logging import get_logger
from datasets import Dataset

from axolotl_cft.core.options import Plan
from axolotl_cft.files.places import refuse_absent

# Imported here and not on first use: inside the strategy a ModuleNotFoundError would reach the
# user as "unhandled prompt tokenization strategy".
from axolotl_cft.host import carried, chat, documents, schema
from axolotl_cft.host.arm import override_prompts
from axolotl_cft.host.checks import (
    check_budget,
    check_config,
    check_dataset,
    check_host_version,
    warn,
    warn_about_rows,
)
from axolotl_cft.host.ending import EndState, StopWhenTold, saves_what_it_needs
from axolotl_cft.host.holdout import check_holdout, options_for
from axolotl_cft.host.identity import RunIdentity, prepared_folder
from axolotl_cft.host.isolation import check_isolation
from axolotl_cft.host.model_card import complete_card, tag_model
from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.placement import check_placement
from axolotl_cft.host.plan import (
    cft_datasets,
    check_reach,
    is_complete,
    make_plan,
    parse_options,
)
from axolotl_cft.host.preparing import PLANS, check_merged, plan_of, prepared_path
from axolotl_cft.host.software import running_software
from axolotl_cft.host.sources import is_missing, record_sources
from axolotl_cft.host.telemetry import send_at_exit
from axolotl_cft.host.trained import TrainedTokens, reason_not_to_count
from axolotl_cft.host.trainer import check_stamps, final_ledger, log_reached

LOG = get_logger(__name__)


class CFTPlugin(BasePlugin):
    """Contextual fine-tuning as `type: cft`; add `axolotl_cft.CFTPlugin` to `plugins`.

    Attributes:
        writes_card: whether this process is the one that writes of a training with data of ours.
    """

    writes_card = False

    def get_input_args(self) -> str:
        """Adds the `cft:` block, and the plans that it resolves to, to the config's schema."""
        return "axolotl_cft.core.options.CFTArgs"

    def register(self, cfg: Any) -> None:
        """Make `type: cft` known, resolve every CFT dataset, and give each its cache identity.

        Called with the same config more than once by some commands, and by Ray's workers with the
        validated one; the result is the same.

        Raises:
            CFTError: anything about the config that cannot work, before a model is loaded.
        """
        sys.modules["axolotl.prompt_strategies.cft"] = documents
        sys.modules["axolotl.prompt_strategies.cft.chat"] = chat
        send_at_exit()  # before anything is refused
        check_host_version()
        if (known := carried.unpack(cfg)) is not None:
            PLANS.update(known)
            return
        dropped = check_placement(cfg, schema.top_keys(), schema.dataset_keys(), sys.argv[1:])
        for remark in dropped:
            LOG.warning(f"cft: {remark}")
        override_prompts(cfg, os.environ)
        check_config(cfg)
        if cfg.get("base_model"):
            refuse_absent(str(cfg["base_model"]), "base_model")
        options = parse_options(cfg)
        check_reach(options, cfg)
        check_budget(cfg, options)
        check_holdout(cfg, options)
        seed, prepared = cfg.get("seed"), prepared_folder(cfg)
        same: Counter[str] = Counter()
        plans: dict[str, Plan] = {}
        for place, part, dataset in cft_datasets(cfg):
            check_dataset(place, dataset, seed)
            top = options_for(cfg, place, part, dataset, options)
            plan = make_plan(place, part, dataset, top, seed, prepared)
            same[plan.stamp] += 1
            if (count := same[plan.stamp]) > 1:
                # Listed again to weigh more; under one stamp, only one ledger would be kept for
                # both.
                plan = replace(plan, stamp=f"{plan.stamp}/{count}")
            # A hashed field of the host's that nothing reads for this type: the least invasive way
            # to let options and prompt texts decide which prepared dataset is used
            # (axolotl/utils/data/shared.py::DATASET_HASH_BASE_DATASET_FIELDS).
            dataset["conversation"] = plan.stamp
            plans[plan.stamp] = plan
            warn_about_rows(place, plan, cfg)
        PLANS.update(plans)
        if plans:
            cfg[carried.FIELD] = carried.pack(cfg, options, plans)
        warn(cfg, options)

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        """Complete the stamps, and refuse what only the validated config shows.

        Loading itself is left to the host.

        Raises:
            CFTError: packing would mix documents, shards were not merged, or the record of sources
                cannot be written.
        """
        if not any(cft_datasets(cfg)):
            return
        check_documents(cfg)
        if cfg.sample_packing or cfg.eval_sample_packing:
            check_isolation(cfg, load_model_config(cfg), preprocess)
        tokenizer = load_tokenizer(cfg)
        complete_stamps(cfg, tokenizer)
        if not preprocess and not cfg.streaming:
            for part in sorted({part for _, part, _ in cft_datasets(cfg)}):
                check_merged(prepared_path(cfg, part, tokenizer))
        if is_local_main_process():
            listed = [*(cfg.datasets or []), *(cfg.test_datasets or [])]
            record_sources(listed, prepared_folder(cfg))

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[Any]:
        """Check the data of `axolotl evaluate`, which calls none of the other hooks.

        Raises:
            CFTError: the prepared dataset that it found is of another tokenizer, say.
        """
        stamps = [dataset["conversation"] for _, _, dataset in cft_datasets(cfg)]
        if not all(map(is_complete, stamps)) and isinstance(trainer.eval_dataset, Dataset):
            complete_stamps(cfg, load_tokenizer(cfg))
            key = "test_datasets" if cfg.test_datasets else "datasets"
            check_stamps(cfg, key, trainer.eval_dataset)
        return []

    def get_training_args(self, cfg: Any) -> dict[str, Any] | None:
        """Let the trainer count the steps of `num_epochs` by itself, unless `max_steps` is set.

        The host's own number is that of whole updates, taken over all epochs: it ends the last
        epoch up to an update an epoch early, and other arms elsewhere
        (axolotl/utils/trainer.py::calculate_total_num_steps).
        """
        limited = cfg.max_steps or cfg.streaming
        return None if limited or not any(cft_datasets(cfg)) else {"max_steps": -1}

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Let the training be stopped; check that the data are the config's; write the ledger.

        What was trained is added when training ends (host/trained.py).

        Raises:
            CFTError: a dataset was prepared differently, or was tokenized before it came here.
        """
        train, test = trainer.train_dataset, trainer.eval_dataset
        if any(cft_datasets(cfg)):
            tag_model(cfg, trainer.model)
            # To be known later, when the ranks know nothing of one another any more.
            self.writes_card = is_main_process()
        trainer.add_callback(EndState(stops_early=bool(cfg.early_stopping_patience)))
        if saves_what_it_needs(trainer.args) and not cfg.use_ray:  # Ray ends workers its own way
            trainer.add_callback(StopWhenTold(trainer.accelerator))
        if not isinstance(train, Dataset):
            LOG.info("cft: streaming: no ledger is kept and stamps cannot be checked")
            return
        check_stamps(cfg, "datasets", train)
        if cfg.test_datasets and isinstance(test, Dataset):
            check_stamps(cfg, "test_datasets", test)
        software = running_software(trainer.accelerator)
        trainer.add_callback(TrainedTokens(software, reason_not_to_count(cfg)))
        if not is_main_process():
            return
        split_off = test if cfg.val_set_size and not cfg.test_datasets else None
        tested = test if cfg.test_datasets else None
        ledger = final_ledger(cfg, train, tested, split_off, software)
        path = Path(cfg.output_dir) / LEDGER_FILE
        ledger.write(path)
        log_reached(ledger.reached_trainer, path)

    def post_train(self, cfg: Any, model: Any) -> None:
        """Say in the model's card what was trained."""
        if self.writes_card:
            complete_card(cfg)


def check_documents(cfg: Any) -> None:
    """Refuse documents that are nowhere: the host would look for their path on the hub.

    Raises:
        CFTError: files of this machine are neither here nor known from when they were prepared.
    """
    prepared = prepared_folder(cfg)
    for place, _, dataset in cft_datasets(cfg):
        if is_missing(dataset, prepared):
            refuse_absent(str(dataset["path"]), f"{place}.path")


def complete_stamps(cfg: Any, tokenizer: Any) -> None:
    """Add what the run decides to the stamps in a validated config (host/identity)."""
    identity = RunIdentity(cfg, tokenizer)
    for _, _, dataset in cft_datasets(cfg):
        plan = plan_of(dataset)
        dataset["conversation"] = identity.complete(plan, dataset)
