"""Under which conditions a model was evaluated, by what a results file says of the command."""

import json
from collections.abc import Mapping
from typing import Any

from axolotl_cft.evaluation.arguments import PLACES, SECRETS, SPEED, WEIGHTS
from axolotl_cft.evaluation.software import evaluated_with

NOT_RECORDED = "not recorded"
_NO_CONDITIONS = WEIGHTS | SECRETS | PLACES | SPEED | {"dtype"}  # dtype is a fact of its own


def conditions_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Facts of an evaluation in the words of the harness's options: name -> text.

    Args:
        content: of a results file.
    """
    config = content.get("config", {})
    arguments = _model_arguments(config.get("model_args"))
    dtype = config.get("model_dtype") or arguments.get("dtype")
    template = content.get("chat_template")
    system = content.get("system_instruction")
    limit = config.get("limit")
    software = evaluated_with(content)
    facts = {
        "model": content.get("model_name"),
        "backend": content.get("model_source"),
        "device": str(config["device"]).split(":")[0] if config.get("device") else None,
        "dtype": str(dtype).removeprefix("torch.") if dtype else None,
        "model arguments": " ".join(
            f"{key}={value}"
            for key, value in sorted(arguments.items())
            if key not in _NO_CONDITIONS
        )
        or "none that change scores",
        "chat template": f"yes (sha {content.get('chat_template_sha', '')[:8]})"
        if template
        else "no",
        "system instruction": "none" if not system else json.dumps(system),
        "few-shot as turns": "yes" if content.get("fewshot_as_multiturn") else "no",
        "limit": "none (all items)" if limit is None else _limit(limit),
        "generation arguments": json.dumps(config.get("gen_kwargs"), sort_keys=True)
        if config.get("gen_kwargs")
        else "the tasks' own",
        "few-shot seed": config.get("fewshot_seed"),
        "lm-eval": content.get("lm_eval_version"),
        "transformers": content.get("transformers_version"),
        "torch": software.get("torch"),
        "GPU": software.get("gpu"),
        "git": content.get("git_hash"),
    }
    return {key: str(value) if value is not None else NOT_RECORDED for key, value in facts.items()}


def _model_arguments(given: Any) -> dict[str, str]:
    """`--model_args`, which the harness records as it was given: a dictionary, or `a=1,b=2`."""
    if isinstance(given, dict):
        return {str(key): str(value) for key, value in given.items()}
    pairs = (part.partition("=") for part in str(given or "").split(","))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _limit(limit: float) -> str:
    """The harness's `--limit`: a share of the items below 1, a number of items from there on."""
    return f"{100 * limit:g} % of each task's items" if limit < 1 else f"{limit:g} items per task"
