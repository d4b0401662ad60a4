"""Where the tasks' items come from: a local folder, or the Hugging Face hub.

    DIR/fiqa/test.jsonl          DIR/<benchmark>/<split>.jsonl or .parquet, in the hub's columns
    DIR/mmlu/anatomy/dev.jsonl

DIR is `--metadata '{"cft_data_dir": "DIR"}'`, else the environment variable CFT_DATA_DIR (which
also reaches runs that pass no metadata, such as Axolotl's LMEvalPlugin); with neither, the hub.

Needs `datasets` only, and nothing of lm-eval: the same table and the same readers serve the
tasks, `axolotl-cft data fetch` and `axolotl-cft contamination`.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".parquet")


class BenchmarkDataError(RuntimeError):
    """Benchmark items that cannot be obtained: says which, where it looked and how to get them."""


@dataclass(frozen=True)
class Benchmark:
    """One dataset on the hub; its key in `BENCHMARKS` is its folder below a data directory.

    `title` heads its column in a report. `splits` gives the published row counts (None: not
    checked). `question` is the column whose text makes an item recognizable: what `axolotl-cft
    contamination` looks for. `label` is the column with the number of the right option.
    """

    title: str
    hub: str
    config: str | None
    splits: Mapping[str, int | None]
    columns: tuple[str, ...]
    question: str
    label: str
    gated: bool = False


def _mmlu(subject: str, test: int) -> Benchmark:
    title = subject.replace("_", " ").title()
    splits = {"dev": 5, "test": test}
    columns = ("question", "choices", "answer")
    return Benchmark(title, "cais/mmlu", subject, splits, columns, "question", "answer")


def _financial(title: str, hub: str, **splits: int) -> Benchmark:
    columns = ("query", "answer", "text", "choices", "gold")
    return Benchmark(title, hub, None, splits, columns, "text", "gold", gated=True)


BENCHMARKS: dict[str, Benchmark] = {
    "mmlu/anatomy": _mmlu("anatomy", 135),
    "mmlu/clinical_knowledge": _mmlu("clinical_knowledge", 265),
    "mmlu/college_biology": _mmlu("college_biology", 144),
    "mmlu/college_medicine": _mmlu("college_medicine", 173),
    "mmlu/medical_genetics": _mmlu("medical_genetics", 100),
    "mmlu/professional_medicine": _mmlu("professional_medicine", 272),
    "medqa": Benchmark(
        "MedQA",
        "GBaker/MedQA-USMLE-4-options-hf",
        None,
        {"train": None, "validation": None, "test": 1273},
        ("sent1", "ending0", "ending1", "ending2", "ending3", "label"),
        "sent1",
        "label",
    ),
    "fiqa": _financial("FiQA", "TheFinAI/en-fiqasa", train=750, valid=188, test=235),
    "causal20": _financial("Causal20", "TheFinAI/en-causal20-sc", test=8628),
    "multifin": _financial("MultiFin", "TheFinAI/en-multifin", test=546),
}


def load(benchmark: str, cft_data_dir: str | None = None, **_: Any) -> Mapping[str, Any]:
    """The harness's `custom_dataset`: split name -> rows of a key of `BENCHMARKS`.

    Only the splits that are used are read. One that a local folder lacks, other than test,
    raises when a row of it is used, so that a test file alone is enough for a zero-shot run.
    The harness also passes its merged metadata (version, pretrained, dtype, …): ignored.

    Raises:
        BenchmarkDataError: no test items, a column missing, or the hub cannot be read.
    """
    folder = cft_data_dir or os.environ.get("CFT_DATA_DIR")
    splits = _Splits(benchmark, Path(folder) if folder else None)
    splits["test"]  # complain now, not in the middle of a run
    return splits


class _Splits(dict[str, Any]):
    """Split name -> rows, read when first asked for."""

    def __init__(self, benchmark: str, folder: Path | None) -> None:
        super().__init__()
        self.benchmark, self.folder = benchmark, folder

    def __missing__(self, split: str) -> Any:
        if self.folder is None:
            self[split] = load_hub(self.benchmark, split)
        elif split == "test" or find_file(self.benchmark, split, self.folder):
            self[split] = load_local(self.benchmark, split, self.folder)
        else:
            self[split] = _absent(self.benchmark, split, self.folder)
        return self[split]


def find_file(benchmark: str, split: str, folder: Path) -> Path | None:
    """The file of a split below a data directory, or None."""
    stem = folder.expanduser() / benchmark / split
    candidates = [stem.with_name(split + suffix) for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def load_local(benchmark: str, split: str, folder: Path) -> Any:
    """Rows of `DIR/<benchmark>/<split>.{jsonl,parquet}` as a `datasets.Dataset`.

    Raises:
        BenchmarkDataError: the file is absent, unreadable or empty, or a column is missing.
    """
    import datasets

    path = find_file(benchmark, split, folder)
    if path is None:
        raise BenchmarkDataError(_not_found(benchmark, split, folder))
    try:
        if path.suffix == ".parquet":
            rows = datasets.Dataset.from_parquet(str(path), keep_in_memory=True)
        else:
            rows = datasets.Dataset.from_list(list(_json_lines(path)))
    except (OSError, ValueError, TypeError) as exc:
        raise BenchmarkDataError(f"cannot read {path}: {exc}") from exc
    return _checked(rows, benchmark, str(path))


def load_hub(benchmark: str, split: str, load_dataset: Callable[..., Any] | None = None) -> Any:
    """Rows of one split from the hub (or the hub's cache).

    The hub's library finds the access token by itself: HF_TOKEN, else what `hf auth login` stored.

    Raises:
        BenchmarkDataError: no access (gated), no network, no such split, or a column missing.
    """
    import datasets

    spec = BENCHMARKS[benchmark]
    try:
        rows = (load_dataset or datasets.load_dataset)(spec.hub, spec.config, split=split)
    except Exception as exc:  # datasets and huggingface_hub share no base class for "not there"
        raise BenchmarkDataError(
            f"cannot load split {split!r} of {spec.hub} from the hub{_access(spec, exc)}; without "
            "a network point CFT_DATA_DIR at a folder made by `axolotl-cft data fetch`. "
            f"The hub said: {type(exc).__name__}: {exc}"
        ) from exc
    return _checked(rows, benchmark, f"{spec.hub}, split {split}")


def _access(spec: Benchmark, exc: BaseException) -> str:
    """What to do about access, where that may be why the hub gave nothing."""
    if spec.gated:
        return (
            f" (gated: ask for access at https://huggingface.co/datasets/{spec.hub}, then set "
            "HF_TOKEN in the environment or log in with `hf auth login`)"
        )
    if _status(exc) in (401, 403):
        return (
            " (refused, though open to all: if a token is in HF_TOKEN or stored by `hf auth "
            "login`, renew or remove it)"
        )
    return ""


def _status(exc: BaseException | None) -> int | None:
    """The HTTP status behind an exception, which libraries wrap in others of their own."""
    while exc is not None:
        status = getattr(getattr(exc, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        exc = exc.__cause__ or exc.__context__
    return None


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as exc:
                raise ValueError(f"line {number} is not JSON ({exc})") from exc
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is not a JSON object")
            yield row


def _checked(rows: Any, benchmark: str, source: str) -> Any:
    spec = BENCHMARKS[benchmark]
    if len(rows) == 0:
        raise BenchmarkDataError(f"{source} has no rows")
    missing = [column for column in spec.columns if column not in rows.column_names]
    if missing:
        raise BenchmarkDataError(
            f"{source} lacks column {', '.join(map(repr, missing))} (it has "
            f"{', '.join(rows.column_names)}); the columns of {spec.hub} are needed: fetch it "
            "again with `axolotl-cft data fetch`"
        )
    options = rows["choices"] if "choices" in spec.columns else itertools.repeat(range(4))
    for number, (label, choices) in enumerate(zip(rows[spec.label], options, strict=False), 1):
        if not isinstance(label, int) or not 0 <= label < len(choices):
            raise BenchmarkDataError(
                f"{source}: row {number} has {spec.label} = {label!r}, which is not the number "
                f"of one of its {len(choices)} options (from 0)"
            )
    return rows


def _not_found(benchmark: str, split: str, folder: Path) -> str:
    spec = BENCHMARKS[benchmark]
    where = folder.expanduser() / benchmark
    config = f", config {spec.config!r}" if spec.config else ""
    return (
        f"no {split!r} split of {benchmark}: looked for {where / split}{{{','.join(SUFFIXES)}}}; "
        f"get it with `axolotl-cft data fetch DIR` on a machine with a network, or copy split "
        f"{split!r} of https://huggingface.co/datasets/{spec.hub}{config} there"
        + (" (gated: access is granted through a form)" if spec.gated else "")
    )


class _AbsentRow(Mapping[str, Any]):
    """A row of a split that is not there: using it raises, having it does not."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __getitem__(self, key: str) -> Any:
        raise BenchmarkDataError(self.message)

    def __iter__(self) -> Iterator[str]:
        raise BenchmarkDataError(self.message)

    def __len__(self) -> int:
        raise BenchmarkDataError(self.message)

    def __bool__(self) -> bool:
        return True


def _absent(benchmark: str, split: str, folder: Path) -> list[_AbsentRow]:
    # The harness lists the few-shot split even for a zero-shot run, and samples from it
    # without asking us; a row is the first thing of ours that it touches.
    return [_AbsentRow(_not_found(benchmark, split, folder))] * 100
