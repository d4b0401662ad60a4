"""Which held-out documents are exported, and how."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import make_documents, varied, write_jsonl
from host import host_config, prepare

from axolotl_cft.cli import main
from axolotl_cft.cli.heldout import heldout
from axolotl_cft.core.heldout_sample import HeldOutDocument, HeldOutSample
from axolotl_cft.core.sampling import letters_of
from axolotl_cft.errors import CFTError
from axolotl_cft.files import digest_file
from axolotl_cft.host.heldout_export import DOCUMENTS, export, find_export, find_held_out
from axolotl_cft.records import HeldOutRecord
from axolotl_cft.study.spec import Study


def config_of(corpus: Path, holdout: float = 0.5, **changes: Any) -> dict[str, Any]:
    return {
        "datasets": [{"path": str(corpus), "type": "cft", "field": "text"}],
        "cft": {"holdout": holdout},
        "dataset_prepared_path": str(corpus.parent / "prepared"),
        **changes,
    }


def exported(folder: Path, *configs: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    found = find_held_out({f"arm{number}": config for number, config in enumerate(configs)})
    export(found, folder, **options)
    return read(folder)


def read(folder: Path) -> list[dict[str, Any]]:
    content = (folder / "heldout" / "test.jsonl").read_bytes()
    return [json.loads(line) for line in content.split(b"\n") if line]


def texts(lines: list[dict[str, Any]]) -> set[str]:
    return {line["text"] for line in lines}


# --- the sample ------------------------------------------------------------------------------


def sampled(documents: list[HeldOutDocument], limit: int) -> list[HeldOutDocument]:
    sample = HeldOutSample(limit)
    for document in documents:
        sample.add(document, letters_of(document.text))
    return sample.documents()


def test_the_sample_is_the_same_in_whatever_order_documents_come():
    documents = [HeldOutDocument(row["text"]) for row in make_documents(80)]
    documents += [HeldOutDocument(varied(d.text, 3)) for d in documents[:40]]
    chosen = sampled(documents, 20)
    assert len(chosen) == 20
    for seed in range(5):
        random.Random(seed).shuffle(documents)
        assert sampled(documents, 20) == chosen
    assert sampled(documents, 7) == chosen[:7]
    assert len(sampled(documents, 1000)) == 80


def test_copies_count_once_and_blank_texts_not_at_all():
    sample = HeldOutSample(10)
    for text in ("A heart beats.", "a heart  BEATS", " \n\t", "--", "🫀", "\u00a0"):
        sample.add(HeldOutDocument(text), letters_of(text))
    assert (sample.found, sample.repeated, sample.blank) == (3, 1, 2)
    kept = {document.text for document in sample.documents()}
    assert kept - {"A heart beats.", "a heart  BEATS"} == {"--", "🫀"}


def test_sizes_are_those_of_the_text():
    document = HeldOutDocument("Zürich\r\n🫀  1\u3000東京")
    assert (document.bytes, document.words) == (len("Zürich\r\n🫀  1\u3000東京".encode()), 4)


# --- the documents ---------------------------------------------------------------------------


def test_what_is_exported_is_what_training_leaves_out(tmp_path, tiny_model):
    """The same documents as the host's own held-out part, and none of its training part."""
    rows = [{"text": f"Document {i}. " + "words " * (i % 5)} for i in range(60)]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", rows)
    config = host_config(tmp_path, tiny_model, corpus, sequence_len=256)
    config |= {"test_datasets": [dict(config["datasets"][0])]}
    config["cft"] |= {"holdout": 0.3, "prompts": "none"}
    _, meta = prepare(config)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def targets(dataset: Any) -> list[tuple[int, ...]]:
        return sorted(tuple(label for label in row if label != -100) for row in dataset["labels"])

    lines = exported(tmp_path / "data", config)
    ids = [tokenizer(line["text"], add_special_tokens=False)["input_ids"] for line in lines]
    bare = sorted((*row, tokenizer.eos_token_id) for row in ids)
    assert bare == targets(meta.eval_dataset)
    assert not set(bare) & set(targets(meta.train_dataset))
    assert 5 < len(bare) < 30


def test_texts_come_out_as_they_went_in(tmp_path):
    odd = ["a", "CRLF\r\nline", "🫀 e\u0301 \u200b\u2028end\x85", '"quoted"\\n', "  spaced  "]
    rows = [{"text": text} for text in (*odd, "", None, " \n ")]
    corpus = write_jsonl(tmp_path / "corpus.jsonl", rows)
    lines = exported(tmp_path, config_of(corpus, holdout=0.999999))
    assert texts(lines) == set(odd)
    assert {line["text"]: line["bytes"] for line in lines} == {t: len(t.encode()) for t in odd}
    assert HeldOutRecord.read(tmp_path / "heldout" / "export.json").blank == 1


def test_two_corpora_are_joined_and_their_copies_counted_once(tmp_path):
    rows = make_documents(40)
    one = write_jsonl(tmp_path / "one.jsonl", rows[:30])
    two = write_jsonl(tmp_path / "two.jsonl", [{"body": row["text"]} for row in rows[20:]])
    both = config_of(one)
    both["datasets"].append({"path": str(two), "type": "cft", "field": "body", "shards": 1})
    whole = write_jsonl(tmp_path / "whole.jsonl", rows)
    expected = exported(tmp_path / "whole", config_of(whole))
    assert exported(tmp_path / "both", both) == expected
    record = HeldOutRecord.read(tmp_path / "both" / "heldout" / "export.json")
    assert record.documents == record.found == len(expected)
    assert record.repeated > 0


def test_a_group_stays_whole_and_its_copies_in_training_take_a_text_out(tmp_path):
    rows = [{"text": f"Text {i}.", "source": f"s{i % 8}"} for i in range(64)]
    config = config_of(write_jsonl(tmp_path / "corpus.jsonl", rows))
    config["cft"]["holdout_by"] = "source"
    assert "group" not in exported(tmp_path / "by_text", config_of(tmp_path / "corpus.jsonl"))[0]
    lines = exported(tmp_path / "a", config)
    groups = {line["group"] for line in lines}
    assert 0 < len(groups) < 8
    assert texts(lines) == {row["text"] for row in rows if row["source"] in groups}

    trained = next(row["source"] for row in rows if row["source"] not in groups)
    held_out = next(line for line in lines)
    rows.append({"text": held_out["text"].upper(), "source": trained})
    write_jsonl(tmp_path / "corpus.jsonl", rows)
    assert texts(exported(tmp_path / "b", config)) == texts(lines) - {held_out["text"]}
    assert HeldOutRecord.read(tmp_path / "b" / "heldout" / "export.json").trained_too == 1

    alone = [{"text": f"Alone {i}.", "source": None} for i in range(20)]
    write_jsonl(tmp_path / "corpus.jsonl", rows + alone)
    own = [line for line in exported(tmp_path / "own", config) if line["text"].startswith("Alone")]
    assert own and all(line["group"] == line["key"] for line in own)

    config["cft"]["holdout_by"] = "journal"
    with pytest.raises(CFTError, match="no column 'journal'; set `cft.holdout_by` to one of"):
        exported(tmp_path / "c", config)


def test_what_every_training_holds_out_is_exported(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(80))
    less, more = (exported(tmp_path / str(h), config_of(corpus, h)) for h in (0.2, 0.6))
    assert texts(less) < texts(more)
    assert exported(tmp_path / "both", config_of(corpus, 0.6), config_of(corpus, 0.2)) == less


@pytest.mark.parametrize(
    "reading",
    [{}, {"split": "train[:50%]"}, {"shards": 2, "shards_idx": 1}, {"preprocess_shards": 3}],
    ids=str,
)
@pytest.mark.parametrize("streaming", [False, True])
def test_however_a_dataset_is_read_its_held_out_documents_are_found(tmp_path, reading, streaming):
    rows = make_documents(40)
    config = config_of(write_jsonl(tmp_path / "corpus.jsonl", rows), streaming=streaming)
    config["datasets"][0] |= reading
    wanted = rows[:20] if "split" in reading else rows
    half = write_jsonl(tmp_path / "wanted.jsonl", wanted)
    assert exported(tmp_path / "a", config) == exported(tmp_path / "b", config_of(half))


def test_a_training_that_holds_nothing_out_of_the_same_rows_leaves_none(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(8))
    other = write_jsonl(tmp_path / "other.jsonl", make_documents(9))
    later = {"datasets": [{"path": str(corpus), "type": "completion"}]}
    with pytest.raises(CFTError, match="arm1 trains on the rows of .*corpus.jsonl without"):
        find_held_out({"arm0": config_of(corpus), "arm1": later})
    later["datasets"][0]["path"] = str(other)
    assert find_held_out({"arm0": config_of(corpus), "arm1": later}).corpora


def test_conversations_are_left_out_and_said_to_be(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(20))
    chats = write_jsonl(tmp_path / "chats.jsonl", [{"messages": []}])
    config = config_of(corpus)
    config["datasets"].append({"path": str(chats), "type": "cft.chat"})
    found = find_held_out({"arm": config})
    [sentence] = found.left_out
    assert sentence == f"{chats} holds conversations, of which none is bare text"
    del config["datasets"][0]
    with pytest.raises(CFTError, match="no training dataset has `type: cft`.*chats.jsonl"):
        find_held_out({"arm": config})


def test_an_empty_held_out_part_is_refused(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(3))
    config = tmp_path / "config.yml"
    config.write_text(json.dumps(config_of(corpus, holdout=1e-9)))
    result = CliRunner().invoke(main, ["heldout", str(config), "--output-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "fell into the held-out part; raise cft.holdout (now 1e-09)" in result.output
    with pytest.raises(CFTError, match="nothing is held out; set cft.holdout"):
        find_held_out({"arm": config_of(corpus, holdout=0.0)})
    (tmp_path / "corpus.jsonl").write_text('{"text": "cut sh')
    with pytest.raises(CFTError, match="corpus.jsonl cannot be read"):
        exported(tmp_path, config_of(corpus))


# --- again, and killed -----------------------------------------------------------------------


def test_an_export_is_kept_until_it_would_be_another(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(40))
    config, path = config_of(corpus), tmp_path / "heldout" / "test.jsonl"
    held_out = find_held_out({"arm": config})
    first = export(held_out, tmp_path, 5)
    assert first.documents == 5 < first.found
    before = path.stat().st_mtime_ns
    assert export(held_out, tmp_path, 5) == first
    assert path.stat().st_mtime_ns == before
    path.write_text("tampered\n")
    assert export(held_out, tmp_path, 5) == first
    assert digest_file(path) == first.sha256
    assert export(held_out, tmp_path, 6).documents == 6
    write_jsonl(corpus, make_documents(41))
    assert find_held_out({"arm": config}).identity(5, None) != first.identity


@pytest.mark.slow
def test_a_killed_export_leaves_nothing_that_counts(tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(40))
    identity = find_held_out({"arm": config_of(corpus)}).identity(500, None)
    program = (
        "import sys, time, json\n"
        "from pathlib import Path\n"
        "from axolotl_cft.host import heldout_export\n"
        "from axolotl_cft.host.heldout_export import *\n"
        "heldout_export.write_atomic, write = hang, heldout_export.write_atomic\n"
        "export(find_held_out({'arm': json.loads(sys.argv[1])}), Path(sys.argv[2]))\n"
    )
    hang = (
        "def hang(path, content):\n"
        "    import os\n"
        "    print('here', flush=True)\n"
        "    from axolotl_cft.files import open_whole\n"
        "    with open_whole(path) as file:\n"
        "        file.write(content.encode()[:99]); file.flush(); time.sleep(600)\n"
    )
    arguments = [json.dumps(config_of(corpus)), str(tmp_path)]
    child = subprocess.Popen(
        [sys.executable, "-c", hang + program, *arguments], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    while b"here" not in child.stdout.readline():
        pass
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (tmp_path / "heldout" / "test.jsonl").exists()
    assert find_export(tmp_path, identity) is None
    assert exported(tmp_path, config_of(corpus))


# --- the command -----------------------------------------------------------------------------


def test_command_and_study_export_as_many_documents_by_default():
    options = {option.name: option.default for option in heldout.params}
    assert options["documents"] == Study.model_fields["heldout_documents"].default == DOCUMENTS


def test_the_command_exports_with_the_tokens_of_the_configs_tokenizer(tmp_path, tiny_model):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(40))
    config = host_config(tmp_path, tiny_model, corpus)
    config["cft"]["holdout"] = 0.5
    path = tmp_path / "config.yml"
    path.write_text(json.dumps(config))
    arguments = ["heldout", str(path), "--output-dir", str(tmp_path / "data"), "--documents", "6"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "6 of " in result.output and "test.jsonl" in result.output
    record = HeldOutRecord.read(tmp_path / "data" / "heldout" / "export.json")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    lines = read(tmp_path / "data")
    assert len(lines) == record.documents == 6
    for line in lines:
        ids = tokenizer(line["text"], add_special_tokens=False)["input_ids"]
        assert line["tokens"] == len(ids)
        assert [position for position, _ in line["cuts"]] == [
            128 << i for i in range(9) if 128 << i < len(ids)
        ]
    assert (record.tokenizer, record.tokens) == (str(tiny_model), sum(x["tokens"] for x in lines))

    config["cft"] = {}
    path.write_text(json.dumps(config))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "nothing is held out; set cft.holdout" in result.output


def test_of_arms_with_other_texts_one_arms_documents_are_exported(tmp_path):
    """No arm trains on a text made of them, since all go by the column that the texts share."""
    rows = [{**row, "doc_id": f"doc{i}"} for i, row in enumerate(make_documents(40))]
    raw = write_jsonl(tmp_path / "raw.jsonl", rows)
    made = [{**row, "text": f"{row['text']} Question {n}?"} for row in rows for n in range(2)]
    other = config_of(write_jsonl(tmp_path / "made.jsonl", made))
    configs = {"cft": config_of(raw), "exercises": other}
    with pytest.raises(CFTError, match="set cft.holdout_by to one that their texts share"):
        find_held_out(configs, of=["cft"])
    for config in configs.values():
        config["cft"]["holdout_by"] = "doc_id"
    export(find_held_out(configs, of=["cft"]), tmp_path)
    chosen = texts(read(tmp_path))
    assert chosen and chosen < {row["text"] for row in rows}
    assert texts(exported(tmp_path / "all", *configs.values())) > chosen
    rule = find_held_out(configs, of=["cft"]).rules[0]
    held = {row["doc_id"] for row in rows if rule.holds_out(row["text"], b"", row)}
    assert {row["text"] for row in rows if row["doc_id"] in held} == chosen
