"""`axolotl-cft educate`: items in, texts and prompts out, and no test item ever."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from conftest import write_jsonl
from loopback_llm import GOOD, REFUSING, Loopback, passage_for, prompt_for, serve

from axolotl_cft.cli import main
from axolotl_cft.errors import CFTError
from axolotl_cft.generation.export import SERVICES, chat_jsonl, targets_digest
from axolotl_cft.generation.questions import Item, ItemColumns, named_test, read_item
from axolotl_cft.prompts.registry import load_pool

ARMS = ("cft", "cpt")


def question(index: int) -> str:
    """No two have more than half of their words in common: else they overlap in part."""
    return (
        f"A patient of ward {index} has finding{index}, sign{index} and a cough that began {index} "
        f"days ago after travel{index} by ship{index}. Which drug{index} is best for case {index}?"
    )


def medqa(indices: range) -> list[dict]:
    return [
        {
            "id": f"q{i}",
            "sent1": question(i),
            "sent2": "",
            **{f"ending{n}": f"Drug {n}" for n in range(4)},
            "label": i % 4,
        }
        for i in indices
    ]


@pytest.fixture
def benchmarks(tmp_path) -> Path:
    """A data directory whose MedQA test split holds questions 100 to 104."""
    folder = tmp_path / "benchmarks"
    (folder / "medqa").mkdir(parents=True)
    write_jsonl(folder / "medqa" / "test.jsonl", medqa(range(100, 105)))
    return folder


@pytest.fixture
def educate(tmp_path, benchmarks):
    def run(server: Loopback, items: Path | str, *more: object) -> Result:
        arguments = [items, "--model", "m", "--base-url", server.url, "--tasks", "cft_medqa"]
        arguments += ["--data-dir", benchmarks, "--output-dir", tmp_path / "out", *more]
        return CliRunner().invoke(main, ["educate", *map(str, arguments)])

    return run


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def test_items_become_texts_with_prompts_in_order(tmp_path, educate):
    items = write_jsonl(tmp_path / "train.jsonl", medqa(range(40)))
    with serve(Loopback(latency=0.01)) as server:
        result = educate(server, items)
        assert result.exit_code == 0, result.output
        asked = sum(server.asked.values())
        assert educate(server, items, "--export", "chat-jsonl").exit_code == 0  # all is there
        assert sum(server.asked.values()) == asked == 80
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["id"] for row in rows] == [f"q{i}" for i in range(40)]
    for index, row in enumerate(rows):
        assert row["text"] == passage_for(question(index)).strip()
        assert row["contextual_prompt"] == prompt_for(row["text"])
    sent = [request["messages"][0]["content"] for request in server.requests]
    first = next(message for message in sent if question(0) in message)
    assert "Drug 0" in first and "Drug 1" not in first
    ledger = json.loads((tmp_path / "out" / "generation.json").read_text())
    assert ledger["rows_in"] == 40 and ledger["answers"]["accepted"] == 80
    assert ledger["guard"]["allow_test_split"] is False


def turns_of(row: dict) -> tuple[str, str]:
    """The user's and the model's turn of a row for either vendor, checked to be all it holds."""
    if "messages" in row:
        user, model = row["messages"]
        turns = user["content"], model["content"]
        made = [{"role": "user", "content": turns[0]}, {"role": "assistant", "content": turns[1]}]
        assert row == {"messages": made}
        return turns
    user, model = row["contents"]
    turns = user["parts"][0]["text"], model["parts"][0]["text"]
    made = [{"role": "user", "parts": [{"text": turns[0]}]}]
    made += [{"role": "model", "parts": [{"text": turns[1]}]}]
    assert row == {"contents": made}
    return turns


def test_both_arms_train_the_same_texts_and_differ_in_the_user_turn_alone(tmp_path, educate):
    """A rejected text, a rejected prompt, and an item of the test set are missing in both."""
    items = write_jsonl(tmp_path / "renamed.jsonl", medqa(range(94, 102)))
    bad = {question(95), passage_for(question(96)).strip()}
    with serve(Loopback(behave=lambda text, n: REFUSING if text in bad else GOOD)) as server:
        refused = educate(server, items, "--export", "chat-jsonl", "--drop-overlapping")
        assert refused.exit_code == 1 and not list((tmp_path / "out").glob("chat.*"))
        result = educate(
            server, items, "--export", "chat-jsonl", "--drop-overlapping", "--drop-rejects"
        )
    assert result.exit_code == 0, result.output
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["id"] for row in rows] == ["q94", "q97", "q98", "q99"]
    names = [f"chat.{vendor}.{arm}.jsonl" for vendor in ("openai", "gemini") for arm in ARMS]
    arms = {name: list(map(turns_of, rows_of(tmp_path / "out" / name))) for name in names}
    texts = [row["text"] for row in rows]
    for name, turns in arms.items():
        assert [model for _, model in turns] == texts
        assert name in result.output
    ledger = json.loads((tmp_path / "out" / "generation.json").read_text())
    said = ledger["chat_rows"]
    digests = {targets_digest(model for _, model in turns) for turns in arms.values()}
    assert digests == {said["targets_digest"]}
    assert said["rows"] == 4 and list(said["files"]) == names
    for vendor in ("openai", "gemini"):
        prompted = [user for user, _ in arms[f"chat.{vendor}.cft.jsonl"]]
        assert prompted == [row["contextual_prompt"] for row in rows]
        bare = {user for user, _ in arms[f"chat.{vendor}.cpt.jsonl"]}
        assert bare == {said["neutral_turn"]} == {"The following is a text."}


def test_the_digest_of_the_targets_tells_other_texts_and_another_order():
    told = {targets_digest(texts) for texts in (["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""])}
    assert len(told) == 4


def test_a_prompt_of_the_pool_stands_in_the_arm_with_prompts(tmp_path, educate):
    items = write_jsonl(tmp_path / "train.jsonl", medqa(range(3)))
    bad = passage_for(question(1)).strip()
    with serve(Loopback(behave=lambda text, n: REFUSING if text == bad else GOOD)) as server:
        result = educate(server, items, "--fallback", "paper", "--export", "chat-jsonl")
    assert result.exit_code == 0, result.output
    row = rows_of(tmp_path / "out" / "corpus.jsonl")[1]
    assert row["contextual_prompt"] in {prompt.text for prompt in load_pool("paper").prompts}
    prompted, bare = (rows_of(tmp_path / "out" / f"chat.gemini.{arm}.jsonl") for arm in ARMS)
    assert turns_of(prompted[1]) == (row["contextual_prompt"], row["text"])
    assert turns_of(bare[1])[1] == row["text"]


LONG_OPTION = "Give the first dose at once, and the second a week after the fever has gone down"


def test_options_are_shown_only_on_demand_and_decide_the_answer(tmp_path, educate):
    items = write_jsonl(tmp_path / "train.jsonl", medqa(range(3)))
    with serve(Loopback()) as server:
        assert educate(server, items).exit_code == 0
        assert "<options>" not in server.requests[0]["messages"][0]["content"]
        asked = sum(server.asked.values())
        result = educate(server, items, "--show-options")
        assert result.exit_code == 0, result.output
        # Another message is another answer; its text is the same here, and so is its prompt.
        assert sum(server.asked.values()) == asked + 3
        assert educate(server, items, "--show-options").exit_code == 0
        assert sum(server.asked.values()) == asked + 3
    shown = server.requests[-1]["messages"][0]["content"]
    assert "<options>\n- Drug 0\n- Drug 1\n- Drug 2\n- Drug 3\n</options>" in shown
    ledger = json.loads((tmp_path / "out" / "generation.json").read_text())
    assert ledger["options"] == "shown" and "options it was asked with" in str(ledger)


@pytest.mark.parametrize("options", [["Rest.", LONG_OPTION], {"A": LONG_OPTION, "B": "Rest."}])
def test_a_text_that_copies_an_option_is_asked_for_again(tmp_path, educate, options):
    """Only where the options were shown: else nobody knows that it is one."""
    rows = [{"q": question(i), "solution": "Rest.", "choices": options} for i in range(2)]
    items = write_jsonl(tmp_path / "quiz.jsonl", rows)
    copying = passage_for("another") + f"\n\n{LONG_OPTION}."

    def behave(text: str, before: int) -> str:
        return copying if text == question(1) and before == 0 else GOOD

    named = ("--question-field", "q", "--answer-field", "solution")
    shown = ("--show-options", "--options-field", "choices")
    instruction = tmp_path / "instruction.txt"
    instruction.write_text("<question>\n{question}\n</question>\nIt is {answer}, of {options}!")
    with serve(Loopback(behave=behave)) as server:
        result = educate(server, items, *named, *shown, "--text-instruction", instruction)
        assert result.exit_code == 0, result.output
        sent = [request["messages"][0]["content"] for request in server.requests]
    assert LONG_OPTION not in rows_of(tmp_path / "out" / "corpus.jsonl")[1]["text"]
    again = [message for message in sent if "copies 12 or more consecutive words of an" in message]
    assert len(again) == 1 and "answer option" in again[0]
    assert f"- {LONG_OPTION}" in again[0] and "<options>" not in again[0]
    with serve(Loopback(behave=behave)) as server:
        bare = educate(server, items, *named, "--output-dir", tmp_path / "bare")
        assert bare.exit_code == 0, bare.output
    assert LONG_OPTION in rows_of(tmp_path / "bare" / "corpus.jsonl")[1]["text"]


def test_options_that_are_not_there_or_not_to_be_shown_are_said_before_anybody_is_asked(
    tmp_path, educate
):
    items = write_jsonl(
        tmp_path / "quiz.jsonl", [{"q": question(1), "solution": "Rest.", "choices": "Rest."}]
    )
    instruction = tmp_path / "instruction.txt"
    instruction.write_text("Teach {question}, {answer}, {options}")
    named = ("--question-field", "q", "--answer-field", "solution")
    cases = [
        (("--show-options",), "no column 'ending0' (columns: q, solution, choices); name the"),
        (("--show-options", "--options-field", "choice"), "with --options-field"),
        (("--show-options", "--options-field", "choices"), "'choices' holds no answer options"),
        (("--options-field", "choices"), "--show-options"),
        (("--text-instruction", instruction), "--show-options"),
    ]  # fmt: skip
    with serve(Loopback()) as server:
        for more, said in cases:
            result = educate(server, items, *named, *more)
            assert result.exit_code and said in " ".join(result.output.split()), result.output
    assert not server.requests


def test_a_test_split_is_refused_by_name_before_it_is_read(tmp_path, educate, benchmarks):
    folder = tmp_path / "medqa" / "test"
    folder.mkdir(parents=True)
    write_jsonl(folder / "0000.jsonl", medqa(range(3)))
    with serve(Loopback()) as server:
        by_folder = educate(server, folder)
        by_file = educate(server, benchmarks / "medqa" / "test.jsonl")
        by_split = educate(server, "GBaker/MedQA-USMLE-4-options-hf", "--split", "test[:10]")
    assert by_folder.exit_code == 1 and "'test' is a test split by its name" in by_folder.output
    assert by_file.exit_code == 1 and "'test.jsonl' is a test split by its name" in by_file.output
    assert by_split.exit_code == 1 and "'test[:10]' is a test split by its name" in by_split.output
    assert "--allow-test-split" in by_file.output and not server.requests


def test_a_test_item_of_one_word_forbids_no_question(tmp_path, educate, benchmarks):
    path = benchmarks / "medqa" / "test.jsonl"
    rows = rows_of(path)
    rows[0] |= {"sent1": "osteoclasts"}
    write_jsonl(path, rows)
    asked = "A 61-year-old man has bone pain. Which cells, other than osteoclasts, are involved?"
    items = write_jsonl(
        tmp_path / "train.jsonl", [medqa([1])[0] | {"sent1": asked}, medqa([101])[0]]
    )
    with serve(Loopback()) as server:
        refused = educate(server, items)
    assert refused.exit_code == 1 and "1 of 2 items overlap" in refused.output
    (hit,) = rows_of(tmp_path / "out" / "overlaps.jsonl")
    assert (hit["place"], hit["task"], hit["score"]) == ("train.jsonl:2", "cft_medqa", 1.0)


def test_items_in_the_evaluation_sets_are_refused_dropped_or_allowed(tmp_path, educate):
    renamed = write_jsonl(tmp_path / "renamed.jsonl", medqa(range(98, 103)))
    out = tmp_path / "out"
    with serve(Loopback()) as server:
        refused = educate(server, renamed)
        assert refused.exit_code == 1
        assert "3 of 5 items overlap with the evaluation sets" in refused.output
        assert "item 0 of cft_medqa" in refused.output
        assert [hit["place"] for hit in rows_of(out / "overlaps.jsonl")] == [
            "renamed.jsonl:3",
            "renamed.jsonl:4",
            "renamed.jsonl:5",
        ]
        assert not server.requests

        dropped = educate(server, renamed, "--drop-overlapping")
        assert dropped.exit_code == 0, dropped.output
        assert [row["id"] for row in rows_of(out / "corpus.jsonl")] == ["q98", "q99"]
        assert not {question(i) for i in range(100, 103)} & set(server.asked)
        assert json.loads((out / "generation.json").read_text())["rows_dropped"] == 3

        clean = write_jsonl(tmp_path / "clean.jsonl", medqa(range(2)))
        assert educate(server, clean, "--estimate").exit_code == 0
        assert not (out / "overlaps.jsonl").exists()

        allowed = educate(server, renamed, "--allow-test-split", "--output-dir", tmp_path / "all")
        assert allowed.exit_code == 0 and "nothing keeps test items out" in allowed.output
        assert len(rows_of(tmp_path / "all" / "corpus.jsonl")) == 5


def test_without_the_evaluation_sets_nothing_is_built(tmp_path, educate):
    items = write_jsonl(tmp_path / "train.jsonl", medqa(range(3)))
    with serve(Loopback()) as server:
        result = educate(server, items, "--data-dir", tmp_path / "nowhere")
    assert result.exit_code == 1 and "medqa" in result.output and not server.requests


def test_rejected_texts_stop_the_writing_or_are_dropped(tmp_path, educate):
    items = write_jsonl(tmp_path / "train.jsonl", medqa(range(4)))
    bad = {question(1), passage_for(question(2)).strip()}

    with serve(Loopback(behave=lambda text, n: REFUSING if text in bad else GOOD)) as server:
        refused = educate(server, items, "--fallback", "paper")
        assert refused.exit_code == 1 and "1 of 4 rows got no usable answer" in refused.output
        rejects = rows_of(tmp_path / "out" / "rejects.jsonl")
        assert [reject["rows"] for reject in rejects] == [[1], [2]]
        dropped = educate(server, items, "--fallback", "paper", "--drop-rejects")
        assert dropped.exit_code == 0, dropped.output
    rows = rows_of(tmp_path / "out" / "corpus.jsonl")
    assert [row["id"] for row in rows] == ["q0", "q2", "q3"]
    assert all(row["contextual_prompt"] for row in rows)


def test_other_columns_need_a_mapping(tmp_path, educate):
    rows = [{"q": question(i), "solution": "Rest."} for i in range(3)]
    items = write_jsonl(tmp_path / "quiz.jsonl", rows)
    with serve(Loopback()) as server:
        unmapped = educate(server, items)
        assert unmapped.exit_code == 1 and "'sent1'" in unmapped.output
        assert "name it with --question-field" in unmapped.output
        half = educate(server, items, "--question-field", "q")
        assert half.exit_code == 1 and "--answer-field" in half.output
        mapped = educate(
            server, items, "--question-field", "q", "--answer-field", "solution",
            "--format", "parquet",
        )  # fmt: skip
        assert mapped.exit_code == 0, mapped.output
        estimate = educate(
            server, items, "--question-field", "q", "--answer-field", "solution", "--estimate"
        )
        assert estimate.exit_code == 0 and " 6 " in estimate.output
    table = pq.read_table(tmp_path / "out" / "corpus.parquet")
    assert table.column_names == ["q", "solution", "text", "contextual_prompt"]
    assert "Rest." in server.requests[0]["messages"][0]["content"]


def test_medqa_rows_are_read_with_their_answer():
    [row] = medqa(range(6, 7))
    assert read_item(row, "x:1", ItemColumns()) == Item(question(6), "Drug 2")
    row |= {"sent2": "Which one?", "label": "3"}
    assert read_item(row, "x:1", ItemColumns()) == Item(f"{question(6)} Which one?", "Drug 3")
    for broken in ({**row, "label": 7}, {**row, "sent1": None}, {**row, "ending3": " "}):
        with pytest.raises(CFTError, match="x:1"):
            read_item(broken, "x:1", ItemColumns())


def test_options_are_medqas_endings_in_their_order_or_a_column():
    row = medqa(range(1))[0] | {f"ending{n}": f"Drug\n{n}" for n in (11, 10, 9)}
    options = ("Drug 0", "Drug 1", "Drug 2", "Drug 3", "Drug 9", "Drug 10", "Drug 11")
    assert read_item(row, "x:1", ItemColumns(show_options=True)).options == options
    columns = ItemColumns(show_options=True, options="o")
    for value in (["Drug 0", "b"], {"A": "Drug 0", "B": "b"}, {"A": "Drug 0", "B": "b", "C": None}):
        assert read_item(row | {"o": value}, "x:1", columns).options == ("Drug 0", "b")
    for value in (None, [], "Drug 0", ["a", 2], ["a", " "], {"text": ["a"], "label": ["A"]}):
        with pytest.raises(CFTError, match="x:1: column 'o' holds no answer options"):
            read_item(row | {"o": value}, "x:1", columns)


def test_names_that_say_test():
    test = [
        "test",
        "test[:50%]",
        "train+test",
        "medqa_test.jsonl",
        "US/test.jsonl",
        "Test-1.parquet",
    ]
    assert all(map(named_test, test))
    assert not any(map(named_test, ["train", "validation", "contest.jsonl", "latest", "attest"]))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_chat_export_is_a_line_a_pair_with_nothing_cut(service):
    pairs = [("Think\nabout it.", "A text. \u2028" * 30_000), ("Naïve “東京”", "Another.")]
    lines = chat_jsonl(service, pairs).split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [service.row(*pair) for pair in pairs]
    assert "東京" in lines[1]
