"""The report on held-out text by density: thin documents apart from dense ones."""

import json
import math
import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from axolotl_cft.cli.report import report
from axolotl_cft.core.density import FEWEST_BYTES, density
from axolotl_cft.evaluation.by_density import FEWEST, find_parts
from axolotl_cft.evaluation.items import Items

TASK = "cft_heldout"


def documents(each: int, seed: int = 0) -> list[str]:
    """As many texts that repeat themselves, that hold words, and that hold letters at random."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(string.ascii_lowercase, k=6)) for _ in range(300)]
    thin = [f"{rng.choice(words)} says that it rains. " * 60 for _ in range(each)]
    middling = [" ".join(rng.choices(words, k=200)) for _ in range(each)]
    dense = ["".join(rng.choices(string.ascii_letters, k=1500)) for _ in range(each)]
    return [*thin, *middling, *dense]


def write_run(folder: Path, texts: list[str], nats: list[float], **more: Any) -> Path:
    """An evaluation of `cft_heldout` at so many nats a byte, as the harness leaves it."""
    folder.mkdir(parents=True)
    samples = [
        {
            "doc_id": index,
            "doc": {"text": text, **{name: values[index] for name, values in more.items()}},
            "target": text,
            "filter": "none",
            "doc_hash": f"{index:064x}",
            "prompt_hash": "0",
            "bits_per_byte": [-loss * len(text), len(text)],
        }
        for index, (text, loss) in enumerate(zip(texts, nats, strict=True))
    ]
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (folder / f"samples_{TASK}_2026.jsonl").write_text(lines)
    sizes = list(map(len, texts))
    score = float(np.average(nats, weights=sizes)) / math.log(2)
    config: dict[str, Any] = {"task": TASK, "metric_list": [{"metric": "bits_per_byte"}]}
    config["metadata"] = {"items_share": "group"} if "group" in more else {}
    content = {
        "results": {TASK: {"bits_per_byte,none": score}},
        "configs": {TASK: config},
        "higher_is_better": {TASK: {"bits_per_byte": False}},
        "n-samples": {TASK: {"original": len(texts), "effective": len(texts)}},
        "lm_eval_version": "0.4.11",
    }
    (folder / "results_2026.json").write_text(json.dumps(content))
    return folder


def losses(texts: list[str], seed: int, gains: tuple[float, float, float]) -> list[float]:
    """About a nat a byte, less what an arm gains on thin, middling and dense texts."""
    luck = random.Random(seed)
    third = len(texts) // 3
    return [
        1 + random.Random(text).uniform(-0.3, 0.3) + luck.uniform(-0.02, 0.02) - gains[i // third]
        for i, text in enumerate(texts)
    ]


def reported(tmp_path: Path, texts: list[str], **more: Any) -> tuple[str, list[dict[str, Any]]]:
    """What is said and recorded of an arm that gains 0.05 nats a byte on thin texts alone."""
    arguments = []
    for arm, gain in (("cpt", 0.0), ("cft", 0.05)):
        for seed in (1, 2, 3):
            nats = losses(texts, seed + int(gain * 1000), (gain, 0.0, 0.0))
            folder = write_run(tmp_path / f"{arm}{seed}", texts, nats, **more)
            arguments.append(f"{arm}@{seed}={folder}")
    arguments += ["--output-dir", str(tmp_path / "out")]
    result = CliRunner().invoke(report, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out/report.json").read_text())
    return (tmp_path / "out/report.md").read_text(), content["by_density"]


def test_an_arm_that_helps_on_thin_text_alone_is_better_there_alone(tmp_path):
    text, compared = reported(tmp_path, documents(40))
    verdicts = {c["task"].split()[-1]: c["verdict"] for c in compared}
    assert verdicts == {
        "thin": "better",
        "middling": "not distinguishable",
        "dense": "not distinguishable",
    }
    thin = next(c for c in compared if c["task"].endswith("thin"))
    assert thin["difference"] == pytest.approx(-0.05 / math.log(2), abs=0.01)
    assert thin["items"] == 40
    section = text.split("### Bits per byte by density of the text")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if "cft against cpt" in line]
    assert [row.split()[1] for row in rows] == ["thin", "middling", "dense"]
    headlines = text.split("## Did it help?")[1].split("##")[0]
    assert "thin" not in headlines


def test_with_fewer_documents_there_are_two_parts_and_with_too_few_none(tmp_path):
    text, compared = reported(tmp_path / "two", documents(25))
    assert [c["task"].split()[-1] for c in compared] == ["thin", "dense"]
    text, compared = reported(tmp_path / "none", documents(19))
    assert "by density" not in text and compared == []


def test_documents_of_one_group_count_once(tmp_path):
    texts = documents(40)
    _, compared = reported(tmp_path, texts, group=[f"book {i // 4}" for i in range(len(texts))])
    assert compared == []


def test_short_texts_are_in_no_part():
    texts = [*documents(30), *["x" * (FEWEST_BYTES - 1)] * 50]
    known = [density(text) for text in texts]
    items = Items(
        keys={number: str(number) for number in range(len(texts))},
        prompts=(),
        values=np.ones(len(texts)),
        gold=None,
        predicted=None,
        densities=np.array(known, dtype=float),
    )
    parts = find_parts(items)
    assert [len(part.documents) for part in parts] == [FEWEST] * 3
    assert max(max(part.documents) for part in parts) < 90
    assert [part.documents for part in parts] == [frozenset(range(i, i + 30)) for i in (0, 30, 60)]
    alike = Items(**{**items.__dict__, "densities": np.full(len(texts), 0.4)})
    assert find_parts(alike) == ()
