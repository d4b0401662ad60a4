"""What is held out stays out: every dataset of the config, of whatever type, is looked at."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from axolotl.utils.logging import get_logger

from axolotl_cft.core.options import CFTConfig, Part
from axolotl_cft.errors import CFTError
from axolotl_cft.host.identity import prepared_folder
from axolotl_cft.host.overlap import Reading
from axolotl_cft.host.plan import all_datasets, is_cft_type, is_chat_type

LOG = get_logger(__name__)

_OWN_ROWS = "rows that are provably others (another file, split, slice or shard)"


class Listed(NamedTuple):
    """A dataset of the config.

    Attributes:
        place: where it stands, for messages.
        part: trained or tested.
        dataset: its raw config.
        reading: the rows that it reads.
    """

    place: str
    part: Part
    dataset: Mapping[str, Any]
    reading: Reading

    @property
    def is_cft(self) -> bool:
        """Whether `holdout` splits it."""
        return is_cft_type(self.dataset.get("type"))

    @property
    def type(self) -> str:
        """For messages; a prompt format of one's own is a mapping."""
        given = self.dataset.get("type")
        return f"`type: {given}`" if isinstance(given, str) else "a type other than cft"

    @property
    def text(self) -> str:
        """The column whose text decides which documents are held out, as the config has it."""
        if is_chat_type(self.dataset.get("type")):
            return f"field_messages: {self.dataset.get('field_messages') or 'messages'}"
        return f"field: {self.dataset.get('field') or 'text'}"


def check_holdout(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    """Refuse a config that trains what it holds out, or evaluates what it trains.

    Raises:
        CFTError: a dataset of another type, or one split by another column, reads the same rows;
            or `holdout_by` without `holdout`.
    """
    if options.holdout_by and not options.holdout:
        raise CFTError("cft.holdout_by: nothing is held out; set cft.holdout too, or remove it")
    if not options.holdout:
        return
    for ours, other in _sharing(cfg):
        if not other.is_cft:
            _refuse_other_type(ours, other)
        elif ours.part != other.part and ours.text != other.text and not options.holdout_by:
            raise CFTError(
                f"{other.place}: reads the rows of {ours.place}, but cft.holdout goes by "
                f"`{other.text}` here and by `{ours.text}` there; set cft.holdout_by to a column, "
                "which then decides for both"
            )


def _refuse_other_type(ours: Listed, other: Listed) -> None:
    if other.part == "train":
        what = f"trains on the rows of {ours.place}, with what cft.holdout keeps out of training"
    else:
        what = f"evaluates the rows of {ours.place}, most of which are trained on"
    advice = f"give it `type: cft` (or cft.chat) with `cft: {{prompts: none}}`, or {_OWN_ROWS}"
    if ours.reading.differs_by_name(other.reading):
        LOG.warning(f"cft: {other.place}: {other.type} perhaps {what}; if so, {advice}")
        return
    raise CFTError(f"{other.place}: {other.type} {what}; {advice}")


def options_for(
    cfg: Mapping[str, Any], place: str, part: Part, dataset: Mapping[str, Any], options: CFTConfig
) -> CFTConfig:
    """The `cft:` block for one dataset: test data that nothing is trained on stay whole.

    Of such data, `holdout` would evaluate a share only, and nobody would train the rest.
    """
    if part == "train" or not options.holdout or _is_trained_on(cfg, part, dataset):
        return options
    LOG.info(
        f"cft: {place} shares no rows with the training data, so all of its documents are "
        f"evaluated, not the share cft.holdout: {options.holdout}"
    )
    return options.model_copy(update={"holdout": 0.0, "holdout_by": None})


def warn_about_holdout(cfg: Mapping[str, Any], options: CFTConfig) -> None:
    """Warn of documents that are both trained and tested, and of a hold-out that nobody uses."""
    if not options.holdout:
        for place in sorted({tested.place for tested in _tested_and_trained(cfg)}):
            LOG.warning(
                f"cft: {place} holds the documents that are trained on; set cft.holdout to keep "
                f"a share of them out of training, or give it {_OWN_ROWS}"
            )
    elif not any(
        part == "test" and is_cft_type(dataset.get("type")) and _is_trained_on(cfg, part, dataset)
        for _, part, dataset in all_datasets(cfg)
    ):
        LOG.warning(
            f"cft: holdout: {options.holdout} keeps documents out of training, but no "
            "test_datasets of type cft evaluate them"
        )


def _tested_and_trained(cfg: Mapping[str, Any]) -> Iterator[Listed]:
    for ours, other in _sharing(cfg):
        if ours.part != other.part:
            yield ours if ours.part == "test" else other


def _is_trained_on(cfg: Mapping[str, Any], part: Part, dataset: Mapping[str, Any]) -> bool:
    prepared, seed = prepared_folder(cfg), cfg.get("seed")
    reading = Reading.of(part, dataset, prepared)
    return any(
        reading.may_share(Reading.of(other_part, other, prepared), seed)
        for _, other_part, other in all_datasets(cfg)
        if other_part == "train"
    )


def _sharing(cfg: Mapping[str, Any]) -> Iterator[tuple[Listed, Listed]]:
    """Pairs of datasets that may share rows, the first of them CFT, not both of them tested."""
    listed = [
        Listed(place, part, dataset, Reading.of(part, dataset, prepared_folder(cfg)))
        for place, part, dataset in all_datasets(cfg)
    ]
    for ours in filter(lambda item: item.is_cft, listed):
        for other in listed:
            if other is ours or ours.part == other.part == "test":
                continue
            if ours.reading.may_share(other.reading, cfg.get("seed")):
                yield ours, other
