"""YAML that people write: aliases and merges work, bombs and keys that stand twice are refused."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axolotl_cft.core.pool import read_pool
from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files.bounded_yaml import MOST_LEVELS, parse_yaml
from axolotl_cft.study.slurm.options import read_slurm_options
from axolotl_cft.study.spec import apply_overrides, read_study
from axolotl_cft.study.task_files import TaskFiles

LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
"""3 × 9**12 letters in a kilobyte."""

MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)
LONG = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 11)}]\n"

REFUSED = {
    "aliases of aliases": (LAUGHS, "line [67]: the aliases up to .* more than 10,000,000 char"),
    "merges of merges": (MERGES, "line [678]: the aliases up to .* more than 10,000,000 char"),
    "aliases of a long text": (LONG, r"line 2: the aliases up to \*a stand for more"),
    "an alias of itself": ("a: &a [1, *a]\n", r"line 1: \*a stands within what it names"),
    "a mapping that merges itself": ("a: &a\n  <<: *a\n", r"line 2: \*a stands within"),
    "deep lists": ("a: " + "[" * 100_000, "line 1: nested more than 50 levels deep"),
    "deep mappings": ("{a: " * 100_000, "line 1: nested more than 50 levels deep"),
    "deep keys": ("? " * 100_000, "line 1: nested more than 50 levels deep"),
    "deep items": ("- " * 100_000, "line 1: nested more than 50 levels deep"),
    "deep blocks": (
        "".join(f"{' ' * n}a:\n" for n in range(2000)),
        "line 50: nested more than 50 levels deep",
    ),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands on line 1 already"),
    "a key twice in flow": ("b: {a: 1, a: 1}\n", "line 1: the key 'a' stands on line 1"),
    "a key twice, in quotes": ("a: 1\n'a': 3\n", "line 2: the key 'a' stands on line 1"),
    "a number twice": ("b:\n  1: x\n  0x1: y\n", "line 3: the key '0x1' stands on line 2"),
    "no end": ("a: [\n", "not valid YAML"),
    "no date": ("a: 2026-13-01\n", r"not valid YAML \(month must be"),
    "no boolean": ("a: !!bool maybe\n", "not valid YAML"),
    "no date by tag": ("a: !!timestamp soon\n", "not valid YAML"),
    "too long a number": (f"a: {'1' * 5000}\n", "line 1: a number of 5,000 characters; quote it"),
    "too long a time": ("a: 1" + ":1" * 500_000, "line 1: a number of 1,000,001 characters"),
    "too long a float": ("a: 1" + ":1" * 500_000 + ".5", "line 1: a number of 1,000,003 char"),
    "an alias of nothing": (
        "a: *" + "k" * 100_000,
        "line 1: not valid YAML .found undefined alias",
    ),
    "a long key twice": (("? " + "k" * 10_000 + "\n") * 2, "line 2: the key 'kkk"),
    "a control character": ("a: \x01\n", "not valid YAML"),
    "Python": ("a: !!python/object/apply:os.getcwd []\n", "line 1: not valid YAML"),
}


def evaluation_task(path: Path) -> Any:
    return TaskFiles((path.parent,)).digest("x")


READERS: dict[str, Callable[[Path], Any]] = {
    "config": read_yaml,
    "pool": read_pool,
    "study": read_study,
    "slurm": read_slurm_options,
    "task": evaluation_task,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("form", REFUSED)
def test_a_form_that_misleads_or_harms_is_refused_in_a_sentence(
    tmp_path: Path, form: str, reader: str
) -> None:
    text, message = REFUSED[form]
    if reader == "task" and "twice" in form:
        pytest.skip("the harness takes the later key")
    if reader == "slurm" and form.startswith(("a number", "no date", "too long")):
        pytest.skip("all values are texts there")
    (path := tmp_path / "file.yaml").write_text(text)
    with pytest.raises(CFTError, match=message) as caught:
        READERS[reader](path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 300


LIMITED = """
import resource, sys, time
from pathlib import Path
from axolotl_cft.errors import CFTError
from axolotl_cft.files import read_yaml
from axolotl_cft.files import bounded_yaml

now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    begin = time.process_time()
    try:
        read_yaml(path)
    except CFTError:
        took = time.process_time() - begin
        assert took < 5.0, f"{path}: {took} s"  # bombs take minutes, or never end
    else:
        raise SystemExit(f"{path} was read")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - now
assert grown < 64 * 1024, f"{grown} KiB"
"""


def test_a_bomb_takes_neither_time_nor_memory(tmp_path: Path) -> None:
    paths = []
    for number, (text, _) in enumerate(REFUSED.values()):
        (path := tmp_path / f"{number}.yaml").write_text(text)
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *paths], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


CONFIG = """
    defaults: &defaults
      micro_batch_size: 2
      learning_rate: 1.0e-4
    other: &other {seed: 1, micro_batch_size: 8}
    <<: *defaults
    micro_batch_size: 4
    datasets:
      - &corpus
        path: corpus.jsonl
        type: cft
    test_datasets:
      - *corpus
    both:
      <<: [*defaults, *other]
      seed: 3
    one by one:
      <<: *defaults
      <<: *other
"""


def test_anchors_and_merges_work_and_what_they_bring_may_be_overridden(tmp_path: Path) -> None:
    (path := tmp_path / "config.yml").write_text(textwrap.dedent(CONFIG))
    config = read_yaml(path)
    assert (config["micro_batch_size"], config["learning_rate"]) == (4, 1e-4)
    assert (
        config["test_datasets"] == config["datasets"] == [{"path": "corpus.jsonl", "type": "cft"}]
    )
    assert config["both"] == {"micro_batch_size": 2, "learning_rate": 1e-4, "seed": 3}
    assert config["one by one"] == {"micro_batch_size": 8, "learning_rate": 1e-4, "seed": 1}


def test_an_override_changes_one_of_the_places_that_share_an_anchor(tmp_path: Path) -> None:
    (path := tmp_path / "config.yml").write_text(textwrap.dedent(CONFIG))
    config = read_yaml(path)
    merged = apply_overrides(config, {"datasets.0.path": "mine.jsonl"})
    assert merged["datasets"][0]["path"] == "mine.jsonl"
    assert merged["test_datasets"][0]["path"] == config["datasets"][0]["path"] == "corpus.jsonl"
    again = apply_overrides({}, {"a": config["datasets"], "b": config["datasets"], "a.0.path": "x"})
    assert again["b"][0]["path"] == "corpus.jsonl"


def test_options_of_slurm_are_texts_and_may_be_merged(tmp_path: Path) -> None:
    (path := tmp_path / "slurm.yml").write_text(
        "all: &all {partition: gpu, time: 24:00:00}\n"
        "train:\n  <<: *all\n  time: 48:00:00\n  nodes: 0x2\n"
    )
    options = read_slurm_options(path)
    assert options.train == {"partition": "gpu", "time": "48:00:00", "nodes": "0x2"}
    assert options.all["time"] == "24:00:00"


def test_a_large_file_without_tricks_is_read(tmp_path: Path) -> None:
    prompts = "".join(f"  - {{id: p{n}, text: Read number {n}., source: *s}}\n" for n in range(500))
    text = f"name: large\ndescription: &s {'a book, ' * 25}\nprompts:\n{prompts}"
    (path := tmp_path / "pool.yaml").write_text(text)
    assert len(read_pool(path).prompts) == 500
    assert parse_yaml("[" * MOST_LEVELS + "]" * MOST_LEVELS, "text")
    long = "x" * 11_000_000
    assert parse_yaml(f"a: {long}", "text") == {"a": long}


def test_a_task_of_the_harness_may_repeat_a_key_as_there(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("task: y\ntask: x\n")
    assert evaluation_task(tmp_path / "x.yaml")
