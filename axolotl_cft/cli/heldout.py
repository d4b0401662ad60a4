"""`axolotl-cft heldout`: the held-out documents of a config, for the loss on bare text."""

from pathlib import Path

import click

from axolotl_cft.cli.progress import progress
from axolotl_cft.cli.shared_options import output_folder
from axolotl_cft.errors import CFTError


@click.command(
    epilog="""\b
Example:
  axolotl-cft heldout my-cft.yml --output-dir eval_data
  CFT_DATA_DIR=eval_data lm_eval --model hf --batch_size 1 --tasks cft_heldout \\
      --model_args pretrained=MODEL,add_bos_token=False,max_length=2048 \\
      --log_samples --output_path results/cft

`add_bos_token=False` sets one BOS instead of two, and `max_length` is the config's sequence_len.
The same documents for every model: `axolotl-cft report` then compares them in pairs. A study
(`axolotl-cft study`) does all of this by itself. docs/heldout.md says what the number means.
"""
)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@output_folder("heldout/test.jsonl; may be the folder of `axolotl-cft data fetch`")
@click.option(
    "--documents",
    metavar="N",
    default=500,
    show_default=True,
    type=click.IntRange(min=1),
    help="Most documents to write; the same N for the same texts, in whatever order they stand.",
)
def heldout(config: Path, output_dir: Path, documents: int) -> None:
    """Export the bare documents that CONFIG, an Axolotl YAML, holds out (`cft.holdout`).

    Reads the training datasets of `type: cft` and writes documents that are not trained on, without
    prompts, with their sizes in bytes, words, and tokens of the config's tokenizer.
    """
    from axolotl_cft.corpus.readers import refuse_own_output
    from axolotl_cft.files import read_yaml
    from axolotl_cft.host.plan import all_datasets
    from axolotl_cft.host.tokens import tokenizer_name, tokens_of
    from axolotl_cft.preview.collect import quiet_imports

    raw = read_yaml(config)
    for _, _, dataset in all_datasets(raw):
        if not dataset.get("data_files"):  # else no other file of the folder is read
            refuse_own_output(str(dataset.get("path")), output_dir)
    with progress("Reading the config and its tokenizer"):
        with quiet_imports():
            from axolotl_cft.host import heldout_export as made

        found = made.find_held_out({str(config): raw})
        name = tokenizer_name(raw)
        tokens = tokens_of(raw, name) if name else None
    with progress("Reading the corpus", None, "documents") as work:
        record = made.export(
            found, output_dir, documents, tokens, lambda count: work.update(advance=count)
        )
    if not record.documents:
        raise CFTError(made.why_empty(found, record))
    for sentence in record.left_out:
        click.echo(f"left out: {sentence}", err=True)
    of = f" of {record.found:,}" if record.found > record.documents else ""
    click.echo(
        f"{record.documents:,}{of} held-out documents, {record.bytes:,} bytes: "
        f"{output_dir / made.FOLDER / made.DOCUMENTS_FILE}"
    )
