"""The bare documents that nothing trains on, written where the task `cft_heldout` reads them.

FOLDER/heldout/test.jsonl     a document a line, in an order that any first few are a sample of
FOLDER/heldout/export.json    what they are; written last
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from axolotl_cft.core.heldout_sample import HeldOutDocument, HeldOutSample
from axolotl_cft.core.options import HoldoutRule
from axolotl_cft.core.sampling import HOLDOUT_VERSION, holdout_key, letters_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file, write_atomic
from axolotl_cft.host.flags import read_flag
from axolotl_cft.host.heldout_positions import find_cuts
from axolotl_cft.host.identity import prepared_folder
from axolotl_cft.host.local_files import find_local_files, looks_local
from axolotl_cft.host.overlap import Reading
from axolotl_cft.host.plan import all_datasets, is_cft_type, is_chat_type, parse_options
from axolotl_cft.host.raw_documents import each_name, load_documents
from axolotl_cft.host.sources import find_source, source_identity
from axolotl_cft.host.tokens import Tokens, first_line
from axolotl_cft.records import HELDOUT_FILE, HeldOutRecord

FOLDER = "heldout"
DOCUMENTS_FILE = "test.jsonl"
DOCUMENTS = 500
"""Documents of an export, unless another number is asked for."""

_EXPORT_VERSION = 2
"""Changes with which documents are chosen, or what is written of them."""

_BATCH = 1000
_SHARDS = ("shards", "shards_idx", "preprocess_shards")


class Corpus(NamedTuple):
    """A training dataset of bare documents, of which some are held out.

    Attributes:
        dataset: its raw config without `shards`: what is held out is held out of all of them.
        by: the config's `holdout_by`.
        auth_token: the config's `hf_use_auth_token`.
        streaming: whether the host streams it.
        prepared: the folder of prepared datasets, which may know documents that are not here.
    """

    dataset: Mapping[str, Any]
    by: str | None
    auth_token: Any
    streaming: bool
    prepared: Path

    @property
    def path(self) -> str:
        """The dataset, for messages."""
        return str(self.dataset.get("path"))

    @property
    def field(self) -> str:
        """The column with the text."""
        return str(self.dataset.get("field") or "text")

    @property
    def identity(self) -> str:
        """What tells its documents from those of another, as JSON."""
        source = find_source(self.dataset, self.prepared)
        named = () if source.kind == "files" else ("path", "data_files")
        reading = [str(self.dataset.get(key)) for key in (*named, "name", "split")]
        return json.dumps([source_identity(source), reading, self.field], default=str)

    def is_at_hand(self) -> bool:
        """Whether the documents can be read, as far as this machine's disk tells."""
        return bool(find_local_files(self.dataset)) or not looks_local(self.dataset)


@dataclass(frozen=True)
class HeldOut:
    """What several trainings hold out, all of them.

    Attributes:
        corpora: where the documents are.
        rules: a document is held out if each of these says so.
        left_out: a sentence for each dataset that has no bare documents.
    """

    corpora: tuple[Corpus, ...]
    rules: tuple[HoldoutRule, ...]
    left_out: tuple[str, ...]

    def identity(self, limit: int, tokenizer: str | None) -> str:
        """Digest of all that decides an export.

        Args:
            limit: most documents in it.
            tokenizer: the one that counts tokens, if any.

        Raises:
            CFTError: a file of a corpus cannot be read.
        """
        corpora = sorted(corpus.identity for corpus in self.corpora)
        versions = [_EXPORT_VERSION, HOLDOUT_VERSION]
        content = json.dumps([versions, corpora, sorted(map(str, self.rules)), limit, tokenizer])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def by_group(self) -> bool:
        """Whether documents share what `holdout_by` names."""
        return any(rule.by for rule in self.rules)

    def missing(self) -> str | None:
        """A corpus whose files are not on this machine."""
        return next((corpus.path for corpus in self.corpora if not corpus.is_at_hand()), None)

    def sample(self, limit: int, on_documents: Callable[[int], None]) -> HeldOutSample:
        """Read the corpora and choose; `on_documents` is told of every batch how many it held.

        Raises:
            CFTError: a corpus cannot be read, or lacks a column.
        """
        sample = HeldOutSample(limit, self._trained(on_documents))
        for text, letters, values in self._documents(on_documents):
            if self._holds_out(text, letters, values):
                groups = (rule.group_of(values) for rule in self.rules)
                group = next((group for group in groups if group is not None), None)
                sample.add(HeldOutDocument(text, group), letters)
        return sample

    def _trained(self, on_documents: Callable[[int], None]) -> set[bytes]:
        """Keys of what is trained, if copies of one text may stand on both sides."""
        if not self.by_group:
            return set()
        return {
            holdout_key(text, letters)
            for text, letters, values in self._documents(on_documents)
            if not self._holds_out(text, letters, values)
        }

    def _holds_out(self, text: str, letters: bytes, values: Mapping[str, Any]) -> bool:
        return all(rule.holds_out(text, letters, values) for rule in self.rules)

    def _documents(
        self, on_documents: Callable[[int], None]
    ) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """Text, letters and deciding columns of every document that is not empty."""
        wanted = [rule.by for rule in self.rules if rule.by]
        for corpus in self.corpora:
            for batch in _batches(corpus, wanted):
                columns = [name for name in wanted if name in batch]
                texts = batch[corpus.field]
                for index, text in enumerate(texts):
                    if text:
                        yield text, letters_of(text), {name: batch[name][index] for name in columns}
                on_documents(len(texts))


def find_held_out(
    configs: Mapping[str, Mapping[str, Any]], of: Collection[str] | None = None
) -> HeldOut:
    """What all of these trainings hold out.

    Args:
        configs: name of a training, for messages -> its Axolotl config.
        of: the trainings whose documents are meant, where others train on other texts made of
            them; None for all.

    Raises:
        CFTError: nothing is held out by all of them, or nobody could tell; says why.
    """
    corpora: dict[str, Corpus] = {}
    rules: dict[HoldoutRule, None] = {}
    chats: dict[str, None] = {}
    others: set[str] = set()
    for name, config in configs.items():
        options = parse_options(config)
        ours = [d for d in _trained_by(config) if is_cft_type(d.get("type")) and options.holdout]
        for dataset in ours:
            if is_chat_type(dataset.get("type")):
                chats[str(dataset.get("path"))] = None
                continue
            corpus = _corpus(config, dataset, options.holdout_by)
            if of is None or name in of:
                corpora.setdefault(corpus.identity, corpus)
            others.add(corpus.identity)
            rules[HoldoutRule(options.holdout, options.holdout_by)] = None
    left_out = (f"{path} holds conversations, of which none is bare text" for path in chats)
    found = HeldOut(tuple(corpora.values()), tuple(rules), tuple(left_out))
    _check(found, configs)
    one = len(rules) == 1 and found.by_group
    if others - corpora.keys() and not one:
        raise CFTError(
            "arms that train on other texts hold out others too, unless all go by one column; set "
            "cft.holdout_by to one that their texts share, such as doc_id"
        )
    return found


def _corpus(config: Mapping[str, Any], dataset: Mapping[str, Any], by: str | None) -> Corpus:
    settings = {key: value for key, value in dataset.items() if key not in _SHARDS}
    if "trust_remote_code" in settings:
        settings["trust_remote_code"] = read_flag(dataset, "trust_remote_code")
    return Corpus(
        settings,
        by,
        read_flag(config, "hf_use_auth_token"),
        bool(read_flag(config, "streaming")),
        prepared_folder(config),
    )


def export(
    held_out: HeldOut,
    folder: Path,
    limit: int = DOCUMENTS,
    tokens: Tokens | None = None,
    on_documents: Callable[[int], None] = lambda count: None,
) -> HeldOutRecord:
    """Write `folder/heldout/`; what is there already, whole and of the same documents, is kept.

    A share so small that it holds out no document makes an export of none.

    Args:
        held_out: what to export.
        folder: what the task calls `cft_data_dir`.
        limit: most documents to write.
        tokens: counts the tokens of each; None to leave them out.
        on_documents: is told of every batch how many documents were read.

    Raises:
        CFTError: a corpus cannot be read, or the files cannot be written.
    """
    name = tokens.name if tokens else None
    identity = held_out.identity(limit, name)
    if there := find_export(folder, identity):
        return there
    sample = held_out.sample(limit, on_documents)
    lines = [_line(document, held_out.by_group, tokens) for document in sample.documents()]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path = folder / FOLDER / DOCUMENTS_FILE
    write_atomic(path, text)
    record = HeldOutRecord(
        identity=identity,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        documents=len(lines),
        found=sample.found,
        bytes=sum(line["bytes"] for line in lines),
        words=sum(line["words"] for line in lines),
        tokens=sum(line["tokens"] for line in lines) if tokens else None,
        tokenizer=name,
        repeated=sample.repeated,
        blank=sample.blank,
        trained_too=sample.trained_too,
        left_out=list(held_out.left_out),
    )
    record.write(path.with_name(HELDOUT_FILE))
    return record


def find_export(folder: Path, identity: str) -> HeldOutRecord | None:
    """The record of an export of that identity, if its documents are there, and whole."""
    path, documents = (folder / FOLDER / name for name in (HELDOUT_FILE, DOCUMENTS_FILE))
    if not path.is_file() or not documents.is_file():
        return None
    record = HeldOutRecord.read(path)
    whole = record.identity == identity and digest_file(documents) == record.sha256
    return record if whole else None


def _line(document: HeldOutDocument, by_group: bool, tokens: Tokens | None) -> dict[str, Any]:
    line: dict[str, Any] = {"key": document.key, "text": document.text}
    if by_group:  # without a value a document is a group of its own
        line["group"] = document.key if document.group is None else document.group
    line |= {"bytes": document.bytes, "words": document.words}
    if tokens:
        line["tokens"] = tokens.of_text(document.text)
        line["cuts"] = find_cuts(document.text, line["tokens"], tokens)
    return line


def _trained_by(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [dataset for _, part, dataset in all_datasets(config) if part == "train"]


def _check(found: HeldOut, configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse where nothing is held out, or a training does not hold it out."""
    if not any(parse_options(config).holdout for config in configs.values()):
        raise CFTError("nothing is held out; set cft.holdout to the share of documents to keep out")
    if not found.corpora:
        because = f": {'; '.join(found.left_out)}" if found.left_out else ""
        raise CFTError(f"no training dataset has `type: cft`, so no bare text is held out{because}")
    for name, config in configs.items():
        for dataset in _trained_by(config):
            if is_cft_type(dataset.get("type")) and parse_options(config).holdout:
                continue
            if (corpus := _shared(found, config, dataset)) is not None:
                raise CFTError(
                    f"{name} trains on the rows of {corpus.path} without cft.holdout, so none of "
                    "them is held out by all trainings"
                )


def _shared(found: HeldOut, config: Mapping[str, Any], dataset: Mapping[str, Any]) -> Corpus | None:
    """A corpus whose rows a dataset may read, too."""
    reading, seed = Reading.of("train", dataset, prepared_folder(config)), config.get("seed")
    for corpus in found.corpora:
        if reading.may_share(Reading.of("train", corpus.dataset, corpus.prepared), seed):
            return corpus
    return None


def _batches(corpus: Corpus, columns: Sequence[str]) -> Iterator[Mapping[str, list[Any]]]:
    """Text column and those of `columns` that are there, batch by batch.

    Raises:
        CFTError: the corpus cannot be read, or lacks a column that it needs.
    """
    from datasets import disable_progress_bars

    disable_progress_bars()
    try:
        for item in each_name(corpus.dataset):
            rows = load_documents(item, "train", corpus.auth_token, lazy=corpus.streaming)
            there = rows.column_names or list(next(iter(rows), {}))
            _check_columns(corpus, there)
            wanted = {corpus.field, *columns}.intersection(there)
            for batch in rows.select_columns(sorted(wanted)).iter(_BATCH):
                _check_text(corpus, batch[corpus.field])
                yield batch
    except CFTError:
        raise
    except Exception as exc:  # datasets, its readers and the hub share no base class
        raise CFTError(f"dataset {corpus.path} cannot be read: {first_line(exc)}") from exc


def _check_columns(corpus: Corpus, there: Sequence[str]) -> None:
    for column, option in ((corpus.field, "field"), (corpus.by, "cft.holdout_by")):
        if column and column not in there:
            raise CFTError(
                f"dataset {corpus.path} has no column '{column}'; set `{option}` to one of "
                f"{', '.join(there)}"
            )


def _check_text(corpus: Corpus, texts: Sequence[Any]) -> None:
    if not all(text is None or isinstance(text, str) for text in texts):
        raise CFTError(
            f"dataset {corpus.path}: column '{corpus.field}' holds something else than text; name "
            "the text column in `field`"
        )


def why_empty(held_out: HeldOut, record: HeldOutRecord) -> str:
    """What to do about an export without documents, in one sentence."""
    paths = ", ".join(corpus.path for corpus in held_out.corpora)
    shares = ", ".join(str(rule.share) for rule in held_out.rules)
    left = ""
    if record.blank or record.trained_too:
        left = (
            f" ({record.blank} of white space alone and {record.trained_too} with a copy in "
            "training do not count)"
        )
    return (
        f"no document of {paths} fell into the held-out part{left}; raise cft.holdout (now "
        f"{shares})"
    )
