"""Prompts from other packages: installed for real, found, trained on, and blamed by name."""

import importlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import encoder
import pytest
from conftest import make_documents, write_jsonl

from axolotl_cft.errors import CFTError
from axolotl_cft.prompts.registry import (
    all_pools,
    load_function,
    load_pool,
    plugin_manager,
    pool_sources,
)

EXAMPLE = Path(__file__).parent / "example_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which pip has installed the example package."""
    pytest.importorskip("hatchling", reason="builds the example package without a network")
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "example")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True, text=True)
    return folder


@pytest.fixture
def add_site(monkeypatch):
    """Makes a folder's packages visible to this process, and forgets them afterwards."""
    before = set(sys.modules)

    def add(folder):
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        plugin_manager.cache_clear()

    yield add
    monkeypatch.undo()
    importlib.invalidate_caches()
    plugin_manager.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith(("cft_prompts_example", "plug_")):
            del sys.modules[name]


@pytest.fixture
def package(tmp_path, add_site):
    """Makes an installed package of a module's source: `package(name, source)`."""

    def make(name, source, entry_points=("main",)):
        module = f"plug_{name}"
        (tmp_path / f"{module}.py").write_text(
            "from axolotl_cft.hooks import hookimpl\n"
            "from axolotl_cft.prompts import PromptFunction\n" + source
        )
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{entry_point} = {module}\n" for entry_point in entry_points]
        (info / "entry_points.txt").write_text("[axolotl_cft]\n" + "".join(lines))
        add_site(tmp_path)

    return make


def pools(name, prompt="Think."):
    return (
        "@hookimpl\ndef cft_pools():\n"
        f"    return {{{name!r}: {{'prompts': [{{'id': 'a', 'text': {prompt!r}}}]}}}}\n"
    )


def functions(body, declaration="'v1'"):
    return (
        f"def give(row, seed, chunk, view):\n    {body}\n"
        "@hookimpl\ndef cft_prompt_functions():\n"
        f"    return {{'give': PromptFunction(give, {declaration})}}\n"
    )


def plan_for(prompts):
    return encoder.plan_for(prompts=prompts, prompt_budget=64)


def encode(tokenizer, rows, prompts, **options):
    return encoder.encode(tokenizer, rows, prompts=prompts, **{"prompt_budget": 64, **options})


def run_cli(site, *arguments):
    code = (
        "import sys\nfrom axolotl_cft.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'axolotl', 'datasets', 'numpy'} & set(sys.modules)\n"
        "print('imported:', sorted(heavy), 'pluggy' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    env = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_an_installed_package_is_listed(installed):
    listed = run_cli(installed, "prompts", "list")
    lines = {line.split()[0]: line for line in listed.splitlines() if line.strip()}
    assert "cft-prompts-example" in lines["bedside"] and "cft-prompts-example" in lines["socratic"]
    assert "Questions a teacher would ask." in listed
    assert {"paper", "negative", "fixed"} <= lines.keys()
    assert "imported: []" in listed
    assert "imported: [] False" in run_cli(installed, "--help")


def test_an_installed_package_trains(installed, add_site, tmp_path, tiny_model):
    from host import fit, host_config, losses

    add_site(installed)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", make_documents(8))
    config = host_config(tmp_path, tiny_model, corpus, cft={"prompts": "bedside"})
    config["datasets"] = [
        {"path": str(corpus), "type": "cft"},
        {"path": str(corpus), "type": "cft", "cft": {"prompts": "socratic"}},
        {"path": str(corpus), "type": "cft", "cft": {"prompts": {"function": "announce"}}},
    ]
    trainer = fit(config)
    assert len(losses(trainer)) == 2
    ledger = json.loads((tmp_path / "out" / "cft_ledger.json").read_text())
    counts = {entry["prompts"]: entry["ledger"]["prompt_counts"] for entry in ledger["datasets"]}
    assert counts.keys() == {"bedside", "socratic", "function announce"}
    assert counts["bedside"].keys() == {"symptoms", "next_step"}
    assert counts["socratic"].keys() == {"why", "how"}
    assert counts["function announce"].keys() == {"function announce"}
    decode = trainer.processing_class.decode
    texts = [decode(row["input_ids"]) for row in trainer.train_dataset]
    assert sum("this is about" in text for text in texts) == len(texts) // 3
    assert sum("about insulin would" in text or "explain insulin to" in text for text in texts)
    assert len({entry["ledger"]["targets_digest"] for entry in ledger["datasets"]}) == 1


def test_ours_come_the_same_way():
    assert {name: package for name, (package, _) in pool_sources().items()} == dict.fromkeys(
        ("paper", "negative", "fixed"), "axolotl-cft"
    )
    assert {pool.package for pool in all_pools().values()} == {"axolotl-cft"}
    assert load_pool("paper").name == "paper"


def test_pools_may_be_files_data_or_objects(package, tmp_path):
    (tmp_path / "file.yaml").write_text("name: x\nprompts: [{id: a, text: From a file.}]\n")
    package(
        "kinds",
        "from pathlib import Path\nfrom axolotl_cft.prompts import read_pool\n"
        "FILE = Path(__file__).with_name('file.yaml')\n"
        "@hookimpl\ndef cft_pools():\n"
        "    data = {'description': 'd', 'prompts': [{'id': 'a', 'text': 'Data.'}]}\n"
        "    return {'f': FILE, 's': str(FILE), 'd': data, 'o': read_pool(FILE)}\n",
    )
    for name in "fsdo":
        pool = load_pool(name)
        assert (pool.name, pool.package) == (name, "kinds")
    assert load_pool("d").prompts[0].text == "Data."
    assert load_pool("f").fingerprint == load_pool("o").fingerprint
    with pytest.raises(CFTError, match="use one of d, f, fixed, negative, o, paper, s"):
        load_pool("missing")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('broken')\n", r"loading plug_acme failed \(RuntimeError: broken\)"),
        ("import no_such_module\n", "loading plug_acme failed .*no_such_module"),
        ("@hookimpl\ndef cft_pool():\n    return {}\n", "loading plug_acme failed .*cft_pool"),
        ("@hookimpl\ndef cft_pools():\n    return 1 / 0\n", "cft_pools failed .*ZeroDivision"),
        ("@hookimpl\ndef cft_pools():\n    return ['a']\n", "cft_pools must return a mapping"),
        ("@hookimpl\ndef cft_pools():\n    return {'a': 3}\n", "provides 'a': 3, which does not"),
        (pools("none"), "provides 'none'"),
        (pools("paper"), "'paper' is provided by both axolotl-cft and acme; uninstall"),
        (pools("x", prompt=""), "pool 'x' of package acme: a prompt's 'text' is not"),
    ],
)
def test_a_package_that_fails_is_named(package, source, message):
    package("acme", source)
    with pytest.raises(CFTError, match=message) as caught:
        load_pool("x")
    assert "acme" in str(caught.value) and "\n" not in str(caught.value)


def test_a_broken_package_stops_only_what_uses_it(package, tmp_path):
    package("acme", "raise RuntimeError('broken')\n")
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nprompts: [{id: a, text: From a file.}]\n")
    assert load_pool(str(path)).name == "mine"
    assert load_pool("paper").package == "axolotl-cft"
    with pytest.raises(CFTError, match="no such file"):
        load_pool(str(tmp_path / "absent.yaml"))
    with pytest.raises(CFTError, match="package acme: loading plug_acme failed"):
        load_pool("bedside")


def test_a_package_that_registers_a_module_twice_is_named(package):
    package("acme", pools("x"), entry_points=("one", "two"))
    with pytest.raises(CFTError, match="package acme: loading plug_acme failed .*already"):
        load_pool("x")


def test_two_packages_with_one_name_are_both_named(package):
    package("one", pools("x"))
    package("two", pools("x"))
    with pytest.raises(CFTError, match="'x' is provided by both one and two"):
        all_pools()


ROWS = [
    {"text": "The heart pumps blood.", "topic": "the heart"},
    {"text": "Insulin lowers blood sugar.", "topic": None},
]


def test_a_function_is_given_the_row_and_where_it_stands(package, sentencepiece_tokenizer):
    said = "f\"{row['topic']}, {sorted(row)}, {seed}, {chunk}, {view}\""
    body = f"return {said} if row['topic'] else None"
    package("acme", functions(body))
    rows, ledger = encode(sentencepiece_tokenizer, ROWS, {"function": "give"}, views=2, seed=5)
    shown = [sentencepiece_tokenizer.decode(ids) for ids in rows["input_ids"]]
    assert "the heart, ['text', 'topic'], 5, 0, 0" in shown[0]
    assert "the heart, ['text', 'topic'], 5, 0, 1" in shown[1]
    assert ledger.prompt_counts == Counter({"function give": 2, "(none)": 2})


def test_a_function_declares_its_columns(package, sentencepiece_tokenizer):
    package("acme", functions("return str(sorted(row))", "'v1', columns=frozenset({'topic'})"))
    rows, _ = encode(sentencepiece_tokenizer, ROWS, {"function": "give"})
    assert "['topic']" in sentencepiece_tokenizer.decode(rows["input_ids"][0])
    with pytest.raises(CFTError, match="no column 'topic', which function give of package acme"):
        encode(sentencepiece_tokenizer, [{"text": "a"}], {"function": "give"})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no idea')", "document 1 of corpus: raised ValueError: no idea"),
        ("return 3", "document 1 of corpus: returned 3; a prompt is a text"),
        ("return ' '", "document 1 of corpus: returned ' '"),
    ],
)
def test_a_function_that_fails_is_named(package, sentencepiece_tokenizer, body, message):
    package("acme", functions(body))
    with pytest.raises(CFTError, match=f"package acme: function give, {message}"):
        encode(sentencepiece_tokenizer, ROWS, {"function": "give"})


def test_a_functions_fingerprint_is_part_of_the_cache_identity(package, add_site, tmp_path):
    package("acme", functions("return 'a'"))
    first = plan_for({"function": "give"})
    assert (first.source.function.package, first.source.name) == ("acme", "function give")
    module = tmp_path / "plug_acme.py"
    module.write_text(module.read_text().replace("'v1'", "'version 2'"))
    del sys.modules["plug_acme"]
    add_site(tmp_path)
    assert plan_for({"function": "give"}).stamp != first.stamp


def test_unknown_and_unfinished_functions(package):
    with pytest.raises(CFTError, match=r"no installed package provides 'give' \(provided: none"):
        load_function("give")
    package("acme", functions("return 'a'", "''"))
    with pytest.raises(CFTError, match="package acme: prompt function 'give' needs"):
        load_function("give")
    with pytest.raises(CFTError, match=r"provides 'gave' \(provided: give\)"):
        load_function("gave")
    with pytest.raises(CFTError, match=r"{function: NAME} or none, got {'functoin': 'give'}"):
        plan_for({"functoin": "give"})
