"""Plans that travel in the validated config, for processes that register it again.

Ray's workers do (axolotl/cli/train.py::ray_train_func), with defaults filled in and without
`datasets[i].cft`, which the host's schema does not know: resolved anew, an arm without prompts
would become one with them.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from axolotl_cft.core.options import CFTConfig, DatasetOptions, Plan
from axolotl_cft.errors import CFTError
from axolotl_cft.host.plan import cft_datasets, parse_options, plan_stamp
from axolotl_cft.prompts.registry import load_source

FIELD = "cft_plans"
"""The field of ours in the config's schema (`core.options.CFTArgs`)."""


_OF_VALIDATED = "attn_decontaminates_packing"
"""A key that the host computes when it validates a config (axolotl/utils/schemas/config.py)."""

_CONFIG_PATH = "axolotl_config_path"


def pack(cfg: Mapping[str, Any], options: CFTConfig, plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Plans by stamp as plain data, with what they were made from."""
    records = {stamp: _record(plan) for stamp, plan in plans.items()}
    return {"config": str(cfg.get(_CONFIG_PATH)), "block": _plain(options), "plans": records}


def unpack(cfg: Mapping[str, Any]) -> dict[str, Plan] | None:
    """The plans of a validated config, by stamp; None for a raw one, which is planned anew.

    Raises:
        CFTError: the field was not filled in by us for this config, or a pool has changed since.
    """
    carried = cfg.get(FIELD)
    if carried is None:
        return None
    is_ours = isinstance(carried, Mapping) and carried.keys() == {"config", "block", "plans"}
    is_validated = _OF_VALIDATED in cfg
    if not is_ours or (is_validated and not _belongs(carried, cfg)):
        raise CFTError(f"{FIELD}: axolotl-cft keeps its resolved plans here; remove the field")
    if not is_validated:
        return None
    return {stamp: _plan(record) for stamp, record in carried["plans"].items()}


def _record(plan: Plan) -> dict[str, Any]:
    record = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    return record | {"options": _plain(plan.options), "source": plan.source.identity}


def _plan(record: Mapping[str, Any]) -> Plan:
    options = DatasetOptions.model_validate(dict(record["options"]))
    source = load_source(options.prompts)
    if source.identity != record["source"]:
        raise CFTError(
            f"dataset {record['path']}: {source.label} has changed since this run was started; "
            "start it again"
        )
    # Of what is None the host keeps nothing.
    values: dict[str, Any] = {field.name: record.get(field.name) for field in fields(Plan)}
    return Plan(**values | {"options": options, "source": source})


def _belongs(carried: Mapping[str, Any], cfg: Mapping[str, Any]) -> bool:
    """Whether nothing was edited since: a config may be pasted from a log, and run years later."""
    # What load_datasets adds to a stamp says nothing of the plan.
    datasets = {
        plan_stamp(item.get("conversation") or ""): item for _, _, item in cft_datasets(cfg)
    }
    paths = {stamp: str(item.get("path")) for stamp, item in datasets.items()}
    return (
        carried["config"] == str(cfg.get(_CONFIG_PATH))
        and carried["block"] == _plain(parse_options(cfg))
        and paths == {stamp: record["path"] for stamp, record in carried["plans"].items()}
        and not any("cft" in item for item in datasets.values())
    )


def _plain(options: DatasetOptions) -> dict[str, Any]:
    return options.model_dump(exclude_none=True)
