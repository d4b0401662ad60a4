"""What an LLM was asked for the data of the trainings: columns beside what training cost."""

from collections.abc import Callable, Sequence

from axolotl_cft.evaluation.sources import Training
from axolotl_cft.records import LLMUse

NOTE = (
    "LLM tokens are what endpoints billed, in and out, for the texts and prompts that the run "
    "trains on, by the ledgers of `generate` and `educate` beside its data (a ledger counts in "
    "every run that reads its data): “none” where records say how all of these were made and name "
    "no LLM, – where there is no record, ≥ where some of the data have none."
)


def llm_columns(trainings: Sequence[Training]) -> list[list[str]]:
    """Columns of a table, each with its heading; none where nothing is known of any training."""
    uses = [training.llm for training in trainings]
    if not any(uses):
        return []
    columns = [["LLM tokens", *(_shown(use, _tokens) for use in uses)]]
    if any(use.ledgers and use.cost is not None for use in uses if use):
        columns.append(["LLM cost", *(_shown(use, _cost) for use in uses)])
    return columns


def _shown(use: LLMUse | None, amount: Callable[[LLMUse], str | None]) -> str:
    if use is None:
        return "–"
    if not use.ledgers:
        return "none"
    if (known := amount(use)) is None:
        return "–"
    return known if use.complete else f"≥ {known}"


def _tokens(use: LLMUse) -> str:
    return f"{use.tokens_in + use.tokens_out:,}"


def _cost(use: LLMUse) -> str | None:
    return None if use.cost is None else f"{use.cost:,.2f}"
