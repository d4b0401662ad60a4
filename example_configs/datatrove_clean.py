"""Clean a packed corpus with datatrove: on one machine, on Slurm, or on Ray.

Runs in an environment of its own, since datatrove and axolotl-cft want different releases of
xxhash, and imports nothing of axolotl-cft; docs/scale.md tells what it costs and what was run. It
is a recipe: copy it, and change the limits below.
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["datatrove[io,processing]>=0.10", "spacy"]
# ///

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

COLUMNS = ("doc_id", "source", "topic", "licence", "title", "url", "doi", "journal", "date", "text")
"""Of a packed corpus, in this order."""

QUALITY = {
    "min_doc_words": 25,
    "max_doc_words": None,
    "min_avg_word_length": 2,
    "max_avg_word_length": 15,
    "max_symbol_word_ratio": 0.1,
    "max_bullet_lines_ratio": None,
    "max_ellipsis_lines_ratio": 0.3,
    "max_non_alpha_words_ratio": 0.4,
    "min_stop_words": None,
}
"""Limits of `GopherQualityFilter`: those of `axolotl-cft corpus clean`, which spare tables,
formulas and books. Without them datatrove takes the published ones; None switches a rule off."""

REPETITION = {
    "dup_line_frac": 0.6,
    "dup_line_char_frac": 0.4,
    "dup_para_frac": 0.5,
    "dup_para_char_frac": 0.4,
    "top_n_grams": ((2, 0.3), (3, 0.3), (4, 0.3)),
    "dup_n_grams": ((5, 0.5), (10, 0.4)),
}
"""Limits of `GopherRepetitionFilter`: those of `axolotl-cft corpus clean`, too."""

MINHASH = {"n_grams": 5, "num_buckets": 14, "hashes_per_bucket": 8}
"""datatrove's own: of pairs that share 80 % of their runs of five words 92 % are found, of 90 %
nearly all, of 50 % one in twenty."""

NUMBERS_ALIKE = False
"""Whether all numbers are one word to MinHash, so that two balance sheets are near duplicates;
datatrove's default is yes."""

FILTERS = ("gopher-quality", "gopher-repetition", "c4")

HELP = """\
PACKED is a folder that `axolotl-cft corpus pack` made. A shard of it is a task, so that the result
does not depend on how many run at a time. OUT receives

  data/      the documents that are left, as Parquet with the same columns
  removed/   those that are not, as JSON lines: doc_id, why, and the text; of near duplicates the
             number of their group, whose kept document removed/near-duplicates-kept names
  work/      what stages hand on: remove it when all is done
  logs/      datatrove's, stage by stage; with them a command that was stopped goes on

Then, where axolotl-cft is installed, for the manifest, the list of attributions and the counts:

  axolotl-cft corpus pack OUT/data --output-dir CORPUS
  axolotl-cft corpus stats CORPUS

examples:
  python datatrove_clean.py data/raw data/trove --workers 16
  python datatrove_clean.py data/raw data/trove --executor slurm --partition cpu --workers 200 \\
      --sbatch account=lab
  python datatrove_clean.py data/raw data/trove --executor ray      (pip install ray; the cluster of
      RAY_ADDRESS, or one on this machine)

With Slurm the command submits one job array a stage and ends; PACKED, OUT and this environment are
on a file system that all nodes see. Failed tasks leave the stages after them waiting: scancel
those, and give the same command again. What was done is not done again.
"""


def main() -> None:
    """The command line."""
    args = read_arguments()
    shards = shards_of(args.packed)
    check_language(args.language)
    begin(args)
    if args.executor == "ray":
        import ray

        ray.init()
    stage: Any = None
    for name, pipeline, tasks in stages(args, len(shards)):
        stage = executor_of(args, name, pipeline, tasks, stage)
        try:
            stage.run()
        except subprocess.CalledProcessError:
            sys.exit(f"Slurm does not take {name}: see above")
        # With Ray, tasks that fail are a warning only.
        if args.executor == "ray" and (failed := stage.get_incomplete_ranks()):
            why = args.out / "logs" / name / "logs"
            sys.exit(f"{len(failed)} of {tasks} tasks of {name} failed: {why} tells why")
    if args.executor == "slurm":
        print(f"Submitted. When all jobs are done, the documents are in {args.out / 'data'}.")
    else:
        left, came = rows_of((args.out / "data").glob("*.parquet")), rows_of(shards)
        print(f"{left:,} of {came:,} documents are left: {args.out / 'data'}")


def read_arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("packed", type=Path, metavar="PACKED", help="the packed corpus")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for what is left of it")
    parser.add_argument("--executor", choices=("local", "slurm", "ray"), default="local")
    parser.add_argument(
        "--workers",
        type=int,
        help="tasks at a time; default: the processors of this machine, and no limit with Slurm "
        "and Ray",
    )
    parser.add_argument(
        "--filters",
        nargs="*",
        choices=FILTERS,
        default=FILTERS,
        metavar="NAME",
        help=f"of {', '.join(FILTERS)}; default: all; their limits stand in this file",
    )
    parser.add_argument("--keep-near", action="store_true", help="no MinHash: doubles stay, too")
    parser.add_argument(
        "--language",
        default="eng",
        help="whose words are counted, by datatrove's code; default: eng. Some languages need a "
        "further package or a download, which datatrove names",
    )
    parser.add_argument(
        "--mem-gb",
        type=int,
        default=4,
        help="memory of a task with Slurm and Ray; default: 4. MinHash takes some 2 GB for a "
        "document of a million words",
    )
    slurm = parser.add_argument_group("Slurm")
    slurm.add_argument("--partition", help="needed with --executor slurm")
    slurm.add_argument("--time", default="24:00:00", help="of a task; default: 24:00:00")
    slurm.add_argument(
        "--sbatch",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a further option of sbatch, such as account=lab; can be repeated",
    )
    args = parser.parse_args()
    if args.executor == "slurm" and not args.partition:
        parser.error("--executor slurm needs --partition")
    if wrong := [given for given in args.sbatch if "=" not in given]:
        parser.error(f"--sbatch {wrong[0]}: write it like --sbatch account=lab")
    if args.workers is None:
        args.workers = (os.cpu_count() or 1) if args.executor == "local" else -1
    # Slurm's tasks start elsewhere.
    args.packed, args.out = args.packed.resolve(), args.out.resolve()
    return args


def shards_of(packed: Path) -> list[Path]:
    """The shards of a packed corpus, which are those that its manifest names."""
    manifest = packed / "manifest.json"
    if not manifest.is_file():
        sys.exit(f"{packed} holds no packed corpus: `axolotl-cft corpus pack` makes one")
    shards = [packed / shard["file"] for shard in json.loads(manifest.read_text())["shards"]]
    if sorted((packed / "data").iterdir()) != sorted(shards):
        sys.exit(f"{packed / 'data'} holds other files than {manifest} names: pack it again")
    return shards


def check_language(language: str) -> None:
    """Refuse a language that datatrove does not know."""
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    try:
        load_word_tokenizer(language)
    except ValueError as exc:
        sys.exit(f"--language: {exc}")


def begin(args: argparse.Namespace) -> None:
    """Refuse a folder where something else was begun: datatrove would go on with that."""
    from importlib.metadata import version

    plan = {
        "corpus": hashlib.sha256((args.packed / "manifest.json").read_bytes()).hexdigest(),
        "filters": {name: limits_of(name) for name in FILTERS if name in args.filters},
        "near duplicates": None if args.keep_near else {**MINHASH, "numbers": NUMBERS_ALIKE},
        "language": args.language,
        "datatrove": version("datatrove"),
    }
    text, place = json.dumps(plan, indent=1), args.out / "plan.json"
    if place.is_file():
        if place.read_text() != text:
            sys.exit(f"{args.out} was begun with another corpus, options or datatrove: see {place}")
    elif args.out.is_dir() and any(args.out.iterdir()):
        sys.exit(f"{args.out} holds something else: name another folder")
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def limits_of(name: str) -> dict[str, Any]:
    """The limits of a filter."""
    return {"gopher-quality": QUALITY, "gopher-repetition": REPETITION}.get(name, {})


def stages(args: argparse.Namespace, shards: int) -> Iterator[tuple[str, list[Any], int]]:
    """Name, pipeline and number of tasks of each stage, in order."""
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.text import TextNormConfig

    out, work = args.out / "data", args.out / "work"
    filtered = out if args.keep_near else work / "filtered"
    filters = [filter_of(args, name) for name in FILTERS if name in args.filters]
    yield "filter", [reader_of(args.packed / "data"), *filters, writer_of(filtered)], shards
    if args.keep_near:
        return
    config = MinhashConfig(**MINHASH, norm_config=TextNormConfig(norm_numbers=NUMBERS_ALIKE))
    signatures, buckets, clusters = (str(work / n) for n in ("signatures", "buckets", "clusters"))
    signing = MinhashDedupSignature(signatures, config, language=args.language)
    yield "minhash-signatures", [reader_of(filtered), signing], shards
    matching = MinhashDedupBuckets(signatures, buckets, config=config)
    yield "minhash-buckets", [matching], config.num_buckets
    clustering = MinhashDedupCluster(buckets, clusters, config, save_cluster_id=True)
    yield "minhash-clusters", [clustering], 1
    removed = list_of(args.out, "near-duplicates")
    dropping = MinhashDedupFilter(clusters, removed, load_cluster_ids=True)
    kept = listing_kept(list_of(args.out, "near-duplicates-kept"))
    yield "minhash-filter", [reader_of(filtered), dropping, kept, writer_of(out)], shards


def filter_of(args: argparse.Namespace, name: str) -> Any:
    """One of `FILTERS`."""
    from datatrove.pipeline.filters import (
        GopherQualityFilter,
        GopherRepetitionFilter,
        LambdaFilter,
    )

    removed = list_of(args.out, name)
    if name == "c4":
        return LambdaFilter(no_placeholder, exclusion_writer=removed)
    kind = GopherQualityFilter if name == "gopher-quality" else GopherRepetitionFilter
    return kind(**limits_of(name), language=args.language, exclusion_writer=removed)


def no_placeholder(document: Any) -> bool | tuple[bool, str]:
    """C4's rule for whole pages; `C4QualityFilter` takes lines out of texts."""
    return "lorem ipsum" not in document.text.lower() or (False, "lorem_ipsum")


def reader_of(folder: Path) -> Any:
    """Documents as they were packed; what is no text and no id is kept as metadata."""
    from datatrove.pipeline.readers import ParquetReader

    return ParquetReader(str(folder), id_key="doc_id", glob_pattern="*.parquet", batch_size=256)


def writer_of(folder: Path) -> Any:
    """Documents with the columns of a packed corpus."""
    import pyarrow as pa
    from datatrove.pipeline.writers import ParquetWriter

    kinds = {name: pa.large_string() if name == "text" else pa.string() for name in COLUMNS}
    # What other machines run is sent to them without this file: it must not need its constants.
    row = partial(row_of, COLUMNS)
    return ParquetWriter(
        str(folder),
        adapter=row,
        schema=pa.schema(kinds.items()),
        compression="zstd",
        max_file_size=-1,  # a file for each that is read
    )


def row_of(columns: tuple[str, ...], _: Any, document: Any) -> dict[str, Any]:
    """A document as a row."""
    known = {name: document.metadata.get(name) for name in columns}
    return known | {"doc_id": document.id, "text": document.text}


def list_of(out: Path, name: str) -> Any:
    """A list of documents below `removed/`."""
    from datatrove.pipeline.writers import JsonlWriter

    return JsonlWriter(str(out / "removed" / name), adapter=line_of)


def line_of(_: Any, document: Any) -> dict[str, Any]:
    """A document as a line of such a list."""
    known = document.metadata
    group = {"group": known["minhash_cluster_id"]} if "minhash_cluster_id" in known else {}
    reason = {} if group else {"reason": known["filter_reason"]}
    return {"doc_id": document.id, **reason, **group, "text": document.text}


def listing_kept(kept: Any) -> Any:
    """A step that lists documents which stand for near duplicates of theirs."""

    def step(data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        with kept:
            for document in data:
                if document.metadata.get("minhash_cluster_id", -1) >= 0:
                    kept.write(document, rank)
                yield document

    return step


def executor_of(
    args: argparse.Namespace, name: str, pipeline: list[Any], tasks: int, before: Any
) -> Any:
    """What runs a stage."""
    from datatrove.executor import (
        LocalPipelineExecutor,
        RayPipelineExecutor,
        SlurmPipelineExecutor,
    )

    logs = str(args.out / "logs" / name)
    if args.executor == "local":
        return LocalPipelineExecutor(pipeline, tasks, args.workers, logs)
    common = {"tasks": tasks, "workers": args.workers, "logging_dir": logs}
    common["mem_per_cpu_gb"] = args.mem_gb
    if args.executor == "ray":
        return RayPipelineExecutor(pipeline, **common)
    return SlurmPipelineExecutor(
        pipeline,
        **common,
        depends=before,
        time=args.time,
        partition=args.partition,
        job_name=f"trove-{name}",
        qos=None,
        env_command=f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH",
        sbatch_args=dict(given.split("=", 1) for given in args.sbatch),
    )


def rows_of(files: Any) -> int:
    """Documents in Parquet files."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files)


if __name__ == "__main__":
    main()
