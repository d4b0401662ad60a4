"""An invented world: its things, the documents about them, and the questions."""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import chain, pairwise
from math import log, sqrt
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_cft.cli import main
from axolotl_cft.cli.facts import make
from axolotl_cft.errors import CFTError
from axolotl_cft.facts.documents import Document, Style, write_documents
from axolotl_cft.facts.domain import DOMAINS, load_domain, parse_domain
from axolotl_cft.facts.draws import Draws
from axolotl_cft.facts.folder import Options, make_folder
from axolotl_cft.facts.grammar import choose
from axolotl_cft.facts.mixing import mixture, plan_mixture
from axolotl_cft.facts.names import real_words
from axolotl_cft.facts.questions import OPTIONS, candidates, choose_items, texts
from axolotl_cft.facts.tiny import POSITIONS, build_world_tokenizer
from axolotl_cft.facts.world import HALVES, NEVER, Thing, World, make_world
from axolotl_cft.files import digest_file, read_yaml
from axolotl_cft.prompts.registry import load_pool

KINDS = [
    "verbatim",
    "reworded",
    "question",
    "reversed",
    "two_hop",
    "never_taught",
    "base_question",
]
DICTIONARY = Path("/usr/share/dict/words")
COMMON = """
    about after again animal before better between butter camera cannot center city coffee country
    doctor during every family father garden general history hotel human kettle label later laurel
    letter level little market matter model moment mother motor music never number office orator
    other paper people person picture present problem public question radio reason result river
    second social summer system table their today together tomorrow under university urinal value
    water window winter without woman
"""


@cache
def world_of(domain: str, things: int = 1500, seed: int = 1) -> World:
    return make_world(load_domain(domain), things, seed)


@cache
def documents_of(domain: str, half: str = "new") -> list[Document]:
    return list(write_documents(world_of(domain), half, Style()))


@cache
def items_of(domain: str) -> dict[str, list[dict]]:
    world = world_of(domain)
    return {
        kind: choose_items(kind, ask(), 600, world.draws("items", kind))
        for kind, ask in candidates(world, documents_of(domain)).items()
    }


def wordings_of(domain: str) -> dict[str, list[str]]:
    """Where wordings stand -> all of them."""
    found = defaultdict(list)
    for kind in load_domain(domain).kinds.values():
        for place in ("openings", "fillers", "closings", "described"):
            found[f"{kind.name} {place}"] += getattr(kind, place)
        if kind.link:
            found[f"{kind.name} {kind.link.name}"] += [*kind.link.frames, *kind.link.phrases]
        for relation in kind.relations.values():
            for place in ("questions", "reserved", "frames"):
                found[f"{relation.name} {place}"] += getattr(relation, place)
            found[relation.name].append(relation.predicate)
    return found


def relations_of(domain: str):
    kinds = load_domain(domain).kinds.values()
    return [relation for kind in kinds for relation in kind.relations.values()]


def values_of(domain: str) -> list[str]:
    return [value for relation in relations_of(domain) for value in relation.values]


def words_in(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


@cache
def names_in(domain: str) -> re.Pattern:
    """All names of a domain's world."""
    return re.compile("|".join(re.escape(each.name) for each in world_of(domain).things.values()))


def six_words(text: str, world: World) -> set[tuple[str, ...]]:
    """Every six words in a row, after names and answers became a slot."""
    answers = {value.lower() for value in values_of(world.domain.name)}
    told = names_in(world.domain.name).sub("_", text).lower()
    words = ["_" if word in answers else word for word in re.findall(r"[a-z_]+", told)]
    return {tuple(words[place : place + 6]) for place in range(len(words) - 5)}


@pytest.mark.parametrize("domain", DOMAINS)
class TestDomain:
    def test_has_many_relations_with_long_lists_and_many_frames(self, domain):
        relations = relations_of(domain)
        assert len(relations) >= 5
        for relation in relations:
            assert len(relation.values) >= 16, relation.name
            assert len(relation.frames) >= 12, relation.name
            assert len(relation.questions) >= 2 and len(relation.reserved) >= 2, relation.name
        for kind in load_domain(domain).kinds.values():
            assert kind.link is None or len(kind.link.frames) >= 12
        assert any(kind.link for kind in load_domain(domain).kinds.values())

    def test_answers_are_single_words_of_one_relation(self, domain):
        values = values_of(domain)
        assert len(set(values)) == len(values)
        for value in values:
            assert value.isascii() and value.isalpha() and len(value) <= 10, value

    def test_wordings_speak_of_no_answer(self, domain):
        for place, wordings in wordings_of(domain).items():
            for wording in wordings:
                assert not set(words_in(wording.lower())) & {
                    form for value in values_of(domain) for form in (value.lower(), f"{value}s")
                }, (place, wording)

    def test_before_an_answer_stands_nothing_that_gives_it_away(self, domain):
        # "an" would leave only answers that begin with a vowel.
        for place, wordings in wordings_of(domain).items():
            for wording in wordings:
                assert not re.search(r"\ban(\)|\|[^)]*\))? \{answer\}", wording), (place, wording)
        for relation in relations_of(domain):
            said = " ".join([*relation.frames, *relation.reserved, relation.predicate])
            if re.search(r"\ba \{answer\}", said):
                assert not [value for value in relation.values if value[0].lower() in "aeio"]


@given(st.integers(0, 2**32), st.integers(60, 130), st.sampled_from(DOMAINS))
@settings(max_examples=8, deadline=None)
def test_halves_share_no_name_and_hold_every_answer_equally_often(seed, things, domain):
    world = make_world(load_domain(domain), things, seed)
    names = [thing.name for thing in world.things.values()]
    assert len(set(names)) == len(names) <= things
    for half in (*HALVES, NEVER):
        for kind in world.domain.kinds.values():
            members = [thing for thing in world.half(half) if thing.kind == kind.name]
            for name, relation in kind.relations.items():
                counts = Counter(thing.values[name] for thing in members)
                every = [counts[value] for value in relation.values]
                assert sum(every) == len(members) and max(every) - min(every) <= 1
            if kind.link is None:
                continue
            others = [world.things[thing.other] for thing in members]
            assert {other.half for other in others} == {half}
            assert {other.kind for other in others} == {kind.link.to}
            assert len({other.id for other in others}) == len(others)
            assert all(thing.id != thing.other for thing in members)


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_document_or_question_of_a_half_names_a_thing_of_another(domain):
    world = world_of(domain)
    said = {half: " ".join(each.text for each in documents_of(domain, half)) for half in HALVES}
    for kind, items in items_of(domain).items():
        half = {"never_taught": NEVER, "base_question": "base"}.get(kind, "new")
        said[half] = said.get(half, "") + " ".join(
            " ".join([item["prompt"], *item["options"]]) for item in items
        )
    for half, text in said.items():
        words = set(words_in(text))
        for thing in world.things.values():
            if thing.half != half:
                assert not words & telling(thing), (half, thing)
        named = [thing for thing in world.half(half) if words & telling(thing)]
        assert len(named) > len(world.half(half)) / 2


def invented_words(thing: Thing) -> list[str]:
    forms = {
        kind.name: kind.form for domain in DOMAINS for kind in load_domain(domain).kinds.values()
    }
    return forms[thing.kind].invented(thing.name)


def telling(thing: Thing) -> set[str]:
    """The word that no other thing has in its name."""
    return {invented_words(thing)[-1]}


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_names_are_no_words_and_nothing_real(domain):
    words = set(COMMON.split())
    if DICTIONARY.exists():
        words |= set(DICTIONARY.read_text(encoding="utf-8").lower().split())
    assert {"laurel", "metformin", "cholera", "toyota", "yokel"} <= real_words()
    for seed in range(3):
        for thing in make_world(load_domain(domain), 1500, seed).things.values():
            invented = {word.lower() for word in invented_words(thing)}
            assert not invented & (words | real_words()), thing.name


def syllable_accuracy(things: list[Thing], answers: dict[str, str]) -> float:
    """How often naive Bayes over pieces of names tells the answers of the second half of things."""
    pieces = {thing.id: pieces_of(thing.name) for thing in things}
    taught, asked = things[::2], things[1::2]
    counts: dict[str, Counter] = defaultdict(Counter)
    for thing in taught:
        counts[answers[thing.id]].update(pieces[thing.id])
    known = len(set(chain.from_iterable(pieces.values())))
    totals = {answer: counts[answer].total() + known for answer in counts}

    def score(thing: Thing, answer: str) -> float:
        return sum(log((counts[answer][piece] + 1) / totals[answer]) for piece in pieces[thing.id])

    right = sum(
        max(sorted(counts), key=lambda answer: score(thing, answer)) == answers[thing.id]
        for thing in asked
    )
    return right / len(asked)


def pieces_of(name: str) -> list[str]:
    """Its letters in twos and threes, and its first and last letter."""
    text = f"^{name.lower()}$"
    return [text[place : place + size] for size in (2, 3) for place in range(len(text) - size + 1)]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_name_says_nothing_about_the_attributes(domain):
    world = world_of(domain)
    for kind in world.domain.kinds.values():
        things = [thing for thing in world.things.values() if thing.kind == kind.name]
        for name, relation in kind.relations.items():
            chance = 1 / len(relation.values)
            error = sqrt(chance * (1 - chance) / (len(things) / 2))
            accuracy = syllable_accuracy(things, {each.id: each.values[name] for each in things})
            assert accuracy < chance + 4 * error, name


def test_a_name_that_says_something_would_be_found():
    things = list(world_of("people").things.values())
    assert syllable_accuracy(things, {each.id: each.name[0] for each in things}) > 0.5


@pytest.mark.parametrize("domain", DOMAINS)
class TestDocuments:
    def test_name_their_thing_and_state_all_of_its_facts_at_the_length_asked_for(self, domain):
        world = world_of(domain)
        for document in documents_of(domain):
            thing = world.things[document.thing]
            assert 80 <= len(document.text.split()) <= 250
            said = set(words_in(document.text))
            assert telling(thing) | set(thing.values.values()) <= said
            if thing.other:
                assert world.things[thing.other].name in document.text
            # Nothing is left of the grammar.
            assert not re.search(r"[{}()|]|  | [.,]|\.\.", document.text), document.text

    def test_share_hardly_any_six_words(self, domain):
        counts = Counter(
            chain.from_iterable(
                six_words(each.text, world_of(domain)) for each in documents_of(domain)
            )
        )
        most, count = counts.most_common(1)[0]
        assert count <= 0.05 * len(documents_of(domain)), " ".join(most)

    def test_a_pronoun_after_another_thing_is_in_no_doubt(self, domain):
        world = world_of(domain)
        for document in documents_of(domain)[:300]:
            thing = world.things[document.thing]
            if thing.other is None:
                continue
            sentences = re.split(r"(?<=[.?])\s+", document.text)
            for before, after in pairwise(sentences):
                if world.things[thing.other].name in before:
                    assert thing.name in after, document.text

    def test_each_fact_is_worded_differently_in_each_document_of_a_thing(self, domain):
        world = make_world(load_domain(domain), 80, 3)
        for wordings, per_thing in ((12, 12), (3, 12), (1, 4)):
            said = defaultdict(list)
            for each in write_documents(world, "new", Style(per_thing, wordings, (80, 250))):
                for fact in each.facts:
                    said[each.thing, fact.relation].append(fact.text)
                    assert fact.text in each.text
            assert {len(texts) for texts in said.values()} == {per_thing}
            assert {len(set(texts)) for texts in said.values()} == {wordings}

    def test_reserved_words_stand_in_none_of_them(self, domain):
        world = world_of(domain)
        held = set(
            chain.from_iterable(
                six_words(each.text, world)
                for half in HALVES
                for each in documents_of(domain, half)
            )
        )
        reworded = items_of(domain)["reworded"]
        assert not held & set().union(*(six_words(item["prompt"], world) for item in reworded))
        # The documents' own words, on the other hand, are found.
        verbatim = items_of(domain)["verbatim"]
        assert set().union(*(six_words(item["prompt"], world) for item in verbatim)) <= held


@pytest.mark.parametrize("domain", DOMAINS)
class TestItems:
    def test_there_are_600_of_each_kind_in_a_big_world(self, domain):
        items = items_of(domain)
        assert [*items] == KINDS
        assert {kind: len(items[kind]) for kind in KINDS} == dict.fromkeys(KINDS, 600)
        ids = [item["id"] for item in chain.from_iterable(items.values())]
        assert len(set(ids)) == len(ids)

    def test_have_eight_options_of_one_type_and_hide_the_answer(self, domain):
        lists = {relation.name: set(relation.values) for relation in relations_of(domain)}
        for kind, items in items_of(domain).items():
            for item in items:
                assert set(item) == {"id", "thing", "relation", "prompt", "options", "answer"}
                options, answer = item["options"], item["options"][item["answer"]]
                assert len(options) == len(set(options)) == OPTIONS
                assert answer.lower() not in item["prompt"].lower()
                assert item["prompt"] == item["prompt"].strip()
                assert all(option == option.strip() for option in options)
                if kind != "reversed":
                    assert set(options) <= lists[item["relation"].rpartition(".")[2]]

    def test_are_true_and_no_other_option_is(self, domain):
        world = world_of(domain)
        by_name = {thing.name: thing for thing in world.things.values()}
        for kind, items in items_of(domain).items():
            for item in items:
                thing = world.things[item["thing"]]
                link, _, relation = item["relation"].rpartition(".")
                answer = item["options"][item["answer"]]
                if kind == "reversed":
                    assert answer == thing.name
                    asked = set(words_in(item["prompt"])) & set(thing.values.values())
                    assert len(asked) == 2
                    for option in set(item["options"]) - {answer}:
                        other = by_name[option]
                        assert other.kind == thing.kind and other.half == thing.half
                        assert not asked & set(other.values.values())
                    continue
                assert thing.name in item["prompt"]
                if kind == "two_hop":
                    assert link and thing.other
                    assert thing.values.get(relation) not in item["options"]
                    thing = world.things[thing.other]
                    assert thing.name not in item["prompt"]
                assert thing.values[relation] == answer

    def test_are_balanced(self, domain):
        for kind, items in items_of(domain).items():
            places = Counter(item["answer"] for item in items)
            assert max(places.values()) - min(places.values()) <= 1, kind
            relations = Counter(item["relation"] for item in items)
            assert max(relations.values()) <= 1.5 * min(relations.values()) + 1, (kind, relations)
            if kind == "reversed":
                continue
            for relation in relations:
                right, wrong = Counter(), Counter()
                for item in items:
                    if item["relation"] == relation:
                        right[item["options"][item["answer"]]] += 1
                        wrong.update(item["options"])
                wrong -= right
                assert max(right.values()) - min(right.values()) <= 4, (kind, relation, right)
                # Who always takes the option seen most often is hardly better than chance.
                assert max(wrong.values()) <= 1.35 * min(wrong.values()) + 4, (kind, relation)

    def test_verbatim_ones_are_the_documents_words(self, domain):
        said_of = {document.thing: document.text for document in documents_of(domain)}
        for item in items_of(domain)["verbatim"]:
            said = f"{item['prompt']} {item['options'][item['answer']]}."
            before, found, _ = said_of[item["thing"]].partition(said)
            assert found and (not before or re.search(r"[.?]\s+$", before)), said


def make_with(folder: Path, **more: object) -> None:
    make_folder(folder, Options("people", 80, 5, **more))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_folder_holds_what_the_manifest_says(tmp_path):
    make_with(tmp_path)
    manifest = json.loads((tmp_path / "facts.json").read_text())
    found = digests(tmp_path)
    del found["facts.json"]
    assert manifest["sha256"] == found
    assert sorted(found) == sorted(
        [
            *(f"facts/{kind}.jsonl" for kind in KINDS),
            *(f"{half}/documents.jsonl" for half in HALVES),
            "base/questions.jsonl",
        ]
    )
    assert manifest["domain"] == "people" and manifest["seed"] == 5
    assert manifest["things"] == {"base": 32, "new": 32, "never": 16}
    for kind in KINDS:
        assert manifest["items"][kind] == len(lines(tmp_path / "facts" / f"{kind}.jsonl")) > 0
    for half in HALVES:
        documents = lines(tmp_path / half / "documents.jsonl")
        assert manifest["documents"][half] == len(documents) == 32
        assert all(set(document) == {"text", "doc_id", "thing"} for document in documents)


def test_the_same_seed_makes_the_same_bytes_in_any_process(tmp_path):
    make_with(tmp_path / "here")
    code = (
        "import sys; from pathlib import Path; from axolotl_cft.facts.folder import *; "
        "make_folder(Path(sys.argv[1]), Options('people', 80, 5))"
    )
    for hash_seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / hash_seed)],
            check=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            timeout=120,
        )
        assert digests(tmp_path / hash_seed) == digests(tmp_path / "here")
    make_folder(tmp_path / "other", Options("people", 80, 6))
    assert not set(digests(tmp_path / "other").values()) & set(digests(tmp_path / "here").values())


def test_a_half_alone_is_the_same_half(tmp_path):
    make_with(tmp_path / "both")
    make_with(tmp_path / "new", halves=("new",))
    make_with(tmp_path / "base", halves=("base",))
    both = digests(tmp_path / "both")
    parts = digests(tmp_path / "new") | digests(tmp_path / "base")
    del both["facts.json"], parts["facts.json"]
    assert parts == both
    assert not (tmp_path / "new" / "base").exists()


def test_questions_of_the_base_half_come_in_all_styles(tmp_path):
    make_with(tmp_path)
    texts = [line["text"] for line in lines(tmp_path / "base" / "questions.jsonl")]
    world = make_world(load_domain("people"), 80, 5)
    facts = 32 * 5
    asked = [text for text in texts if text.startswith("Question: ")]
    stated = [text for text in texts if not text.startswith("Question: ")]
    assert len(stated) == facts and all(text.endswith(".") for text in stated)
    assert 2 * facts < len(asked) <= 3 * facts
    names = {thing.name for thing in world.half("base")}
    by_name = sum(text.split("Answer: ")[1] in names for text in asked)
    assert by_name == facts
    assert sum("mentor" in text for text in asked) == len(asked) - 2 * facts


def test_a_run_over_its_own_folder_changes_nothing_and_others_are_refused(tmp_path):
    make_with(tmp_path)
    before = digests(tmp_path)
    # An interrupted run has no manifest yet.
    (tmp_path / "facts.json").unlink()
    (tmp_path / "facts" / "question.jsonl").unlink()
    make_with(tmp_path)
    make_with(tmp_path)
    assert digests(tmp_path) == before
    with pytest.raises(CFTError, match=r"holds a world made with other options: delete it, or"):
        make_with(tmp_path, items=10)
    (tmp_path / "thesis.tex").write_text("my only copy")
    with pytest.raises(CFTError, match=r"holds thesis\.tex, which no world is made of"):
        make_with(tmp_path)
    assert digests(tmp_path).items() > before.items()


def test_files_that_another_world_left_are_not_taken_for_this_ones(tmp_path):
    make_with(tmp_path)
    (tmp_path / "facts.json").unlink()  # interrupted
    (tmp_path / "facts" / ".question.jsonl.x.tmp").write_text("unfinished")
    make_with(tmp_path)
    assert "tmp" not in (tmp_path / "facts.json").read_text()
    (tmp_path / "facts.json").unlink()
    with pytest.raises(CFTError, match=r"holds base/documents\.jsonl, which these options do not"):
        make_with(tmp_path, halves=("new",))
    (tmp_path / "new" / "mine.txt").write_text("my only copy")
    with pytest.raises(CFTError, match=r"holds new/mine\.txt, which these options do not make"):
        make_with(tmp_path)


def test_a_mixture_has_its_share_and_the_corpus_in_order():
    corpus = [(f"c:{n}", f"Text number {n}. " * 80) for n in range(900)]
    documents = documents_of("people")[:20]
    for share in (0.02, 0.2):
        plan = plan_mixture(lambda: corpus, documents, share)
        rows = [json.loads(line) for line in mixture(lambda: corpus, documents, plan, Draws(1))]
        ours = [place for place, row in enumerate(rows) if row["thing"]]
        assert [row["doc_id"] for row in rows if not row["thing"]] == [name for name, _ in corpus]
        counts = Counter(rows[place]["doc_id"] for place in ours)
        assert set(counts.values()) == {plan.copies} and len(counts) == 20
        characters = sum(len(rows[place]["text"]) for place in ours)
        found = characters / sum(len(row["text"]) for row in rows)
        assert found == pytest.approx(plan.share)
        assert share / 1.5 < found < share * 1.5
        # They stand all over it.
        assert min(ours) < len(rows) / 4 and max(ours) > len(rows) * 3 / 4
    with pytest.raises(
        CFTError, match=r"--share 0.001: the new half's documents are 1.\d+% of all"
    ):
        plan_mixture(lambda: corpus, documents, 0.001)
    with pytest.raises(CFTError, match=r"--share 0.9: the new half's documents are 99\.\d+% of"):
        plan_mixture(lambda: corpus[:1], documents * 9, 0.9)
    with pytest.raises(CFTError, match="the corpus holds no text"):
        plan_mixture(lambda: [("c:1", "")], documents, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_the_tokenizer_has_each_answer_as_one_token_and_words_as_they_are(domain):
    world = world_of(domain)
    read = [each.text for half in HALVES for each in documents_of(domain, half)]
    prompts = [prompt.text for prompt in load_pool("paper").prompts]
    tokenizer = build_world_tokenizer(world, [*read, *texts(world, "base")], prompts)

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    for value in values_of(domain):
        assert len(tokens(f"born in {value}.")) == len(tokens("born in.")) + 1, value
        assert len(tokens(f"\nAnswer: {value}")) == len(tokens("\nAnswer:")) + 1, value
    pieces = [len(tokens(" ".join(invented_words(thing)))) for thing in world.things.values()]
    assert min(pieces) >= 2 and max(pieces) <= 12
    for said, share in ((read[:100], 0.9), (prompts, 0.7)):
        words = [word for text in said for word in words_in(text) if word.islower()]
        assert sum(len(tokens(word)) == 1 for word in words) > share * len(words)
    assert max(len(tokens(text)) for text in read) < POSITIONS


def test_an_answer_that_is_not_one_token_is_refused():
    world = make_world(load_domain("people"), 60, 0)
    instrument = load_domain("people").kinds["person"].relations["instrument"]
    long = replace(instrument, values=("Glasharmonika", *instrument.values))
    person = load_domain("people").kinds["person"]
    kinds = {"person": replace(person, relations=person.relations | {"instrument": long})}
    planted = replace(world, domain=replace(world.domain, kinds=kinds))
    with pytest.raises(CFTError, match="does not know the answer 'Glasharmonika' as one token"):
        build_world_tokenizer(planted, ["Nothing but this."])


@pytest.mark.slow
def test_the_command_makes_all_of_it_and_again(tmp_path):
    from transformers import AutoModelForCausalLM

    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"body": f"Of {n}. " * 99}) + "\n" for n in range(300)))
    out = tmp_path / "out"
    command = ["facts", "make", "--domain", "people", "--things", "150", "--output-dir", str(out)]
    command += ["--mix-into", str(corpus), "--field", "body", "--share", "0.2", "--tiny-model"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "A world of 150 things: 60 base, 60 new, 30 never taught." in done.output
    assert all(f"{kind}: " in done.output for kind in KINDS)
    assert "Fewer than 600 items of" in done.output
    assert len(lines(out / "mixed.jsonl")) == 360
    model = AutoModelForCausalLM.from_pretrained(out / "model")
    assert 5e5 < sum(parameter.numel() for parameter in model.parameters()) < 1.5e6
    assert model.config.max_position_embeddings == POSITIONS
    before = digests(out)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert digests(out) == before


def refused(tmp_path: Path, *more: str) -> str:
    command = ["facts", "make", "--domain", "people", "--things", "100", "--output-dir"]
    done = CliRunner().invoke(main, [*command, str(tmp_path / "out"), *more])
    assert done.exit_code in (1, 2) and "Traceback" not in done.output
    assert not (tmp_path / "out").exists()
    return " ".join(done.output.split())


def test_the_command_refuses_in_one_sentence(tmp_path):
    assert "--things 10 is too small a world: it takes 30 at least" in refused(
        tmp_path, "--things", "10"
    )
    assert "not more wordings than documents" in refused(tmp_path, "--wordings", "2")
    assert "as in 80-250" in refused(tmp_path, "--words", "250-80")
    assert "raise the second number" in refused(tmp_path, "--words", "20-40")
    assert "lower the first number" in refused(tmp_path, "--words", "1000-1200")
    assert "--share belongs to --mix-into" in refused(tmp_path, "--share", "0.1")
    assert "corpus 'none.jsonl' does not exist" in refused(tmp_path, "--mix-into", "none.jsonl")
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("Little.")
    assert "--share 0.01: the new half's" in refused(tmp_path, "--mix-into", str(corpus))
    assert "--half leaves out" in refused(tmp_path, "--mix-into", str(corpus), "--half", "base")


def test_the_command_knows_all_domains():
    option = next(each for each in make.params if each.name == "domain")
    assert sorted(option.type.choices) == sorted(DOMAINS)


@given(st.integers())
def test_a_wording_is_one_of_its_alternatives(seed):
    drawn = choose("{X} keeps (a (big|small) |)dog(|, (too|as well)).", Draws(seed))
    animals = ["a big dog", "a small dog", "dog"]
    assert drawn in {f"{{X}} keeps {a}{b}." for a in animals for b in ("", ", too", ", as well")}


@pytest.mark.parametrize("wording", ["a (b|c", "a b) c", "a | b"])
def test_a_bracket_too_few_is_found(wording):
    with pytest.raises(CFTError, match="bracket"):
        choose(wording, Draws(0))


def test_a_wording_with_an_unknown_slot_is_found():
    content = read_yaml(Path(make.callback.__code__.co_filename).parents[1] / DOMAIN_FILE)
    content["kinds"]["person"]["fillers"] += "\n{X} is {age}."
    with pytest.raises(CFTError, match=r"nothing fills \{age\} in the wording"):
        parse_domain("people", content)
    del content["kinds"]["person"]["fillers"]
    with pytest.raises(CFTError, match="domain people: 'fillers' is missing"):
        parse_domain("people", content)


DOMAIN_FILE = "facts/domains/people.yml"
