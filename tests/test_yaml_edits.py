"""A change of a YAML text leaves every other character as it was."""

import pytest
import yaml

from axolotl_cft.errors import CFTError
from axolotl_cft.files.yaml_edits import EditableYaml


def edited(text: str) -> EditableYaml:
    return EditableYaml(text, "my.yml", behind="list")


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("a:   1   # one\n", ["a"], 2, "a:   2   # one\n"),
        ("a: 'x'\n", ["a"], "y", "a: 'y'\n"),
        ('a: "x"\n', ["a"], "y", 'a: "y"\n'),
        ('a: "x"\n', ["a"], 2, "a: 2\n"),
        ("a: x\n", ["a"], "no", "a: 'no'\n"),  # or it would be false
        ("a:\nb: 1\n", ["a"], 2, "a: 2\nb: 1\n"),
        ("a:   # none yet\n", ["a"], 2, "a: 2   # none yet\n"),
        ("a: ~", ["a"], 2, "a: 2"),
        ("a: &x 1\nb: *x\n", ["b"], 2, "a: &x 1\nb: 2\n"),
        ("a: &x 1\nb: *x\n", ["a"], 2, "a: &x 2\nb: *x\n"),
        ("a: !!str x\n", ["a"], "y", "a: !!str y\n"),
        ("a: |\n  long\n\nb: 1\n", ["b"], 2, "a: |\n  long\n\nb: 2\n"),
        ("a: {b: 1, c: [1,\n  2]}  # c\n", ["a", "c", 1], 3, "a: {b: 1, c: [1,\n  3]}  # c\n"),
        ("a:\n- b\n- - c\n  - d\n", ["a", 1, 1], "e", "a:\n- b\n- - c\n  - e\n"),
        ("é: 'ü'   # ö\na: 1\n", ["a"], 2, "é: 'ü'   # ö\na: 2\n"),
    ],
)
def test_a_single_value_is_replaced(before: str, path: list, value: object, after: str) -> None:
    config = edited(before)
    config.put(path, value)
    assert config.text == after
    assert config.data == yaml.safe_load(after)


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("a: 1\n", ["b"], 2, "a: 1\nb: 2\n"),
        ("a: 1", ["b"], 2, "a: 1\nb: 2\n"),
        ("a: 1\n# end\n", ["b"], 2, "a: 1\nb: 2\n# end\n"),
        ("list: []\na: 1\n", ["b"], 2, "list: []\nb: 2\na: 1\n"),
        ("list: |\n  x\na: 1\n", ["b"], 2, "list: |\n  x\nb: 2\na: 1\n"),
        ("list:\n- x   # c\n# of a\na: 1\n", ["b"], 2, "list:\n- x   # c\nb: 2\n# of a\na: 1\n"),
        ("list:\n  - x\n  # - y\na: 1\n", ["b"], 2, "list:\n  - x\n  # - y\nb: 2\na: 1\n"),
        ("a:\n    x: 1\nb: 2\n", ["a", "y"], 3, "a:\n    x: 1\n    y: 3\nb: 2\n"),
        ("a: {x: 1}  # c\n", ["a", "y"], 3, "a: {x: 1, y: 3}  # c\n"),
        ("a: { }\n", ["a", "y"], 3, "a: {y: 3 }\n"),
        ("a:\n- x: 1\n- z: 2\n", ["a", 0, "y"], 3, "a:\n- x: 1\n  y: 3\n- z: 2\n"),
        ("a: &m {x: 1}\nb: *m\n", ["b", "y"], 3, "a: &m {x: 1, y: 3}\nb: *m\n"),
        ("m: &m {x: 1}\nb:\n  <<: *m\n", ["b", "x"], 3, "m: &m {x: 1}\nb:\n  <<: *m\n  x: 3\n"),
        ("a: 1\n", ["b"], {"c": [{"d": 1, "e": 2}]}, "a: 1\nb:\n  c:\n    - d: 1\n      e: 2\n"),
        ("a:\n- 1\n", ["b"], {"c": [{"d": 1}]}, "a:\n- 1\nb:\n  c:\n  - d: 1\n"),
        ("a: 5  # c\nb: 1\n", ["a"], [1], "a:  # c\n  - 1\nb: 1\n"),
        ("a:\nb: 1\n", ["a"], {"c": 1}, "a:\n  c: 1\nb: 1\n"),
        ("a: {}", ["a"], {"c": 1}, "a:\n  c: 1\n"),
    ],
)
def test_what_is_new_takes_a_line_of_its_own_or_joins_the_line(
    before: str, path: list, value: object, after: str
) -> None:
    config = edited(before)
    assert not config.has(path) or path == ["a"]
    config.put(path, value)
    assert config.text == after
    assert config.data == yaml.safe_load(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("p:\n    - x   # c\nb: 1\n", "p:\n    - x   # c\n    - y\nb: 1\n"),
        ("p:\n- x\n# c\nb: 1\n", "p:\n- x\n- y\n# c\nb: 1\n"),
        ("p:\n- # c-d\n  x", "p:\n- # c-d\n  x\n- y\n"),
        ("p: [x]   # c\n", "p: [x, y]   # c\n"),
        ("p: [\n  x,  # c\n]\n", "p: [\n  x, y,  # c\n]\n"),
        ("p: []\n", "p: [y]\n"),
        ("p:  # c\nb: 1\n", "p:  # c\n  - y\nb: 1\n"),
        ("b: 1\n", "b: 1\np:\n  - y\n"),
        ("a: &l [x]\np: *l\n", "a: &l [x, y]\np: *l\n"),
        ("a: &l x\np:\n  - *l\n", "a: &l x\np:\n  - *l\n  - y\n"),
        ("p: &l\n  - x\nb: *l\n", "p: &l\n  - x\n  - y\nb: *l\n"),
    ],
)
def test_a_list_gets_another_item_in_its_own_style(before: str, after: str) -> None:
    config = edited(before)
    config.append(["p"], "y")
    assert config.text == after
    assert config.data == yaml.safe_load(after)


def test_new_keys_stand_together_in_their_order() -> None:
    config = edited("list: [1]\nz: 1\n")
    for number, key in enumerate("abc"):
        config.put([key], number)
    assert config.text == "list: [1]\na: 0\nb: 1\nc: 2\nz: 1\n"


def test_a_key_keeps_its_quotes_and_its_place() -> None:
    config = edited("'old': 1  # c\nb:\n- {\"old\": 2}\n")
    config.rename(["old"], "new")
    config.rename(["b", 0, "old"], "new")
    assert config.text == "'new': 1  # c\nb:\n- {\"new\": 2}\n"


def test_line_ends_and_a_byte_order_mark_stay() -> None:
    config = edited("\ufeffa: 1  # c\r\nb:\r\n  - x\r\n# end\r\n")
    config.append(["b"], "y")
    config.put(["c"], {"d": 1})
    config.put(["a"], 2)
    wanted = "\ufeffa: 2  # c\r\nb:\r\n  - x\r\n  - y\r\nc:\r\n  d: 1\r\n# end\r\n"
    assert config.text == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("- a\n", "my.yml: expected a mapping of options"),
        ("", "my.yml: expected a mapping of options"),
        ("a:\n\t- b\n", "my.yml, line 2: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "my.yml, line 3: the key 'a' stands on line 1 already"),
        ('{"a": 1}\n', "my.yml: stands in braces as a whole"),
        ("a: 1\n---\na: 2\n", "my.yml, line 2: not valid YAML"),
    ],
)
def test_another_form_is_refused_in_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(CFTError) as refused:
        edited(text)
    assert str(refused.value).startswith(complaint)


def test_an_anchor_that_is_needed_elsewhere_is_not_lost_in_silence() -> None:
    config = edited("a: &x 1\nb: *x\n")
    with pytest.raises(CFTError, match=r"my.yml, line 1: cannot be changed by itself; write it"):
        config.put(["a"], [1, 2])
    assert config.text == "a: &x 1\nb: *x\n"
