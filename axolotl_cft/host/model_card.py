"""The card of a saved model, `output_dir/README.md`, says what was trained.

The host writes the card after the model, from nothing and on one rank (axolotl/train.py::
create_model_card), or pushes it to the hub in the same call. No seam lies between, so that the
section is added to the file afterwards; the tag alone is known to the model before, and goes along.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axolotl.utils.logging import get_logger

from axolotl_cft.core.choice import FromColumn, FromFunction, FromPool, PromptSource
from axolotl_cft.core.options import Plan
from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_text, write_atomic
from axolotl_cft.files.yaml_edits import EditableYaml
from axolotl_cft.host.output_dir import LEDGER_FILE
from axolotl_cft.host.plan import cft_datasets, is_chat_type
from axolotl_cft.host.preparing import plan_of
from axolotl_cft.host.software import version_of
from axolotl_cft.prompts.registry import OUR_PACKAGE
from axolotl_cft.records import TrainingLedger

LOG = get_logger(__name__)

CARD_FILE = "README.md"
ARXIV_TAG = "arxiv:2503.09032"
"""By such a tag the hub links a model and a paper."""

_BEGIN, _END = "<!-- axolotl-cft -->", "<!-- /axolotl-cft -->"
_SECTION = re.compile(rf"\n*{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", re.S)
_HEAD = re.compile(r"\A---\n((?:.*?\n)??)---\n", re.S)

_OF_OUR_POOLS = {
    "paper": "contextual fine-tuning (CFT)",
    "negative": "contextual fine-tuning with prompts that discourage learning (−CFT), a control",
    "fixed": "training behind one constant prefix, a control of CFT",
}


def tag_model(cfg: Any, model: Any) -> None:
    """Let whatever the host writes and pushes of a model name the paper, if prompts were trained.

    Args:
        cfg: the validated config.
        model: the trainer's, which has `add_model_tags` as the host's own tag does.
    """
    if _tags(cfg) and hasattr(model, "add_model_tags"):
        model.add_model_tags(_tags(cfg))


def complete_card(cfg: Any) -> None:
    """Add the section and the tag to the card, where the host has written one; called once more, it
    changes nothing. Nothing is raised: the model is saved.

    Args:
        cfg: the validated config, with datasets of ours.
    """
    path = Path(cfg.output_dir) / CARD_FILE
    if not path.is_file():
        return
    try:
        before = read_text(path)
        after = with_section(before, "\n".join(_lines(cfg)), _tags(cfg))
        if after == before:
            return
        write_atomic(path, after)
    except CFTError as exc:
        LOG.warning(f"cft: the model's card does not say what was trained: {exc}")
        return
    if cfg.hub_model_id:
        LOG.info(
            f"cft: {path} says what was trained; the host pushed the model before, so bring it to "
            f"the hub with `hf upload {cfg.hub_model_id} {path} {CARD_FILE}`"
        )


def with_section(card: str, section: str, tags: list[str]) -> str:
    """A card with a section of ours, in place of an earlier one, and with tags.

    Args:
        card: Markdown, which may begin with YAML between two lines `---`.
        section: Markdown.
        tags: for the YAML; those that are there stay, and stand there once.

    Raises:
        CFTError: the YAML cannot be read.
    """
    match = _HEAD.match(card)
    head, body = (match[1], card[match.end() :]) if match else ("", card)
    if tags:
        head = _with_tags(head, tags)
    body = _SECTION.sub("\n", body).rstrip("\n")
    body = f"{body}\n\n{_BEGIN}\n{section}\n{_END}\n"
    return f"---\n{head}---\n{body}" if head else body


def _with_tags(head: str, tags: list[str]) -> str:
    if not head.strip():
        return "".join(["tags:\n", *(f"- {tag}\n" for tag in tags)])
    metadata = EditableYaml(head, CARD_FILE, behind="library_name")
    for tag in tags:
        if tag not in (metadata.data.get("tags") or []):
            metadata.append(("tags",), tag)
    return metadata.text


def _tags(cfg: Any) -> list[str]:
    """The paper, unless every dataset is one without prompts: plain CPT is not its method."""
    prompted = any(plan.source.gives_prompts for plan, _ in _trained(cfg))
    return [ARXIV_TAG] if prompted else []


def _trained(cfg: Any) -> Iterator[tuple[Plan, bool]]:
    """The plan of each dataset that is trained on, and whether it holds conversations."""
    for _, part, dataset in cft_datasets(cfg):
        if part == "train":
            yield plan_of(dataset), is_chat_type(dataset.get("type"))


def _lines(cfg: Any) -> Iterator[str]:
    """The section: what the config and the ledger say; no path and no text of the user's."""
    yield "## What was trained\n"
    methods = dict.fromkeys(_method(plan.source, chat) for plan, chat in _trained(cfg))
    yield f"- Method: {'; '.join(methods)}; see [arXiv 2503.09032](https://arxiv.org/abs/2503.09032)"
    yield f"- Prompts: {'; '.join(dict.fromkeys(_prompts(p.source) for p, _ in _trained(cfg)))}"
    if cfg.streaming:  # nothing was counted, and a ledger would be another run's
        yield f"- Made with axolotl-cft {version_of(OUR_PACKAGE)}"
        return
    ledger = TrainingLedger.read(Path(cfg.output_dir) / LEDGER_FILE)
    yield from _counts(ledger)
    versions = dict.fromkeys(part.versions.get(OUR_PACKAGE, "") for part in ledger.software)
    yield f"- Made with axolotl-cft {', then '.join(versions)}; `{LEDGER_FILE}` has all counts"


def _method(source: PromptSource, chat: bool) -> str:
    if not source.gives_prompts:
        known = "training" if chat else "continued pre-training (CPT)"
        method = f"{known} without contextual prompts, a control of CFT"
    elif isinstance(source, FromPool) and source.pool.package == OUR_PACKAGE:
        method = _OF_OUR_POOLS[source.pool.name]
    elif isinstance(source, FromColumn):
        method = "contextual fine-tuning with each text's own prompts (as TextAdaptCFT)"
    else:
        method = "contextual fine-tuning (CFT)"
    return f"{method}, on conversations" if chat else method


def _prompts(source: PromptSource) -> str:
    """Which prompts, by name and fingerprint; of a pool file its own name, not its path."""
    if isinstance(source, FromPool):
        pool, count = source.pool, len(source.pool.prompts)
        prompts = f"{count} prompt{'s' if count > 1 else ''}"
        return f"pool `{pool.name}`, {prompts}, fingerprint `{pool.fingerprint}`"
    if isinstance(source, FromFunction):
        function = source.function
        return f"{source.name} of {function.package}, fingerprint `{function.fingerprint}`"
    return source.name


def _counts(ledger: TrainingLedger) -> Iterator[str]:
    made, trained = ledger.train, ledger.trained
    yield f"- Documents: {made.used:,} of {made.documents:,}, {made.held_out:,} held out"
    mixed = ledger.reached_trainer.mixed_with_other_datasets
    others = ", those of other datasets among them" if mixed else ""
    if trained is None or trained.tokens is None:
        reason = trained.not_counted if trained else "unknown"
        yield f"- Trained tokens: not counted ({reason}); {made.trained_tokens:,} were prepared"
    else:
        steps = f"{trained.steps:,} steps, {trained.epochs:g} epochs"
        yield f"- Trained tokens: {trained.tokens:,} in {steps}{others}"
    yield f"- Targets digest: `{made.targets_digest}`"
