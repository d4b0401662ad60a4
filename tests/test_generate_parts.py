"""The parts of `generate`: answer checks, cutting, token counts, requests, kept answers."""

import asyncio
import copy
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest
from encoder import encoder_for
from hypothesis import given
from hypothesis import strategies as st
from test_pieces import LLAMA_3, byte_level

from axolotl_cft.errors import CFTError
from axolotl_cft.generation.answers import Answer, Answers, Keys
from axolotl_cft.generation.instructions import TEXT_ADAPT_CFT, fill, prompt_rules
from axolotl_cft.generation.portions import divide
from axolotl_cft.generation.prompting import PromptPlan, draw_prompt, usable_texts
from axolotl_cft.generation.sentences import count_sentences, cut_at_sentence, sentence_ends
from axolotl_cft.generation.unwrapping import PASSAGE, drop_thinking, unwrap
from axolotl_cft.generation.verdicts import Reply, judge_prompt, judge_text
from axolotl_cft.generation.workers import _Commits
from axolotl_cft.host.tokens import Tokens, read_tokens
from axolotl_cft.prompts.registry import load_pool

KEYS = Keys("m", {})
TEXT = (
    "Insulin lets cells take up glucose from the blood, and without it the blood sugar rises "
    "until the kidneys can no longer hold it back."
)
GOOD = "Follow how insulin moves glucose. Ask what would break at each step if it were missing."


def judge(answer: str, finish: str = "stop", budget: int = 128):
    return judge_prompt(
        Reply(answer, finish),
        instruction=f"{TEXT_ADAPT_CFT}\n\n{prompt_rules(budget)}",
        text=TEXT,
        count=Tokens().of_prompt,
        budget=budget,
    )


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        f'"{GOOD}"',
        f"**{GOOD}**",
        f"Contextual Prompt: {GOOD}",
        f"**Contextual prompt:** {GOOD}",
        f"Sure! Here is a contextual prompt for the text:\n\n{GOOD}",
        f"Here's the prompt: “{GOOD}”",
        f"<think>The user wants a prompt. I can't help but overthink.</think>\n{GOOD}",
        GOOD.replace(". ", ".\n"),
    ],
)
def test_wrapping_is_taken_off_a_good_answer(answer):
    assert judge(answer).answer == GOOD
    assert judge(answer).complaint is None


@pytest.mark.parametrize(
    "answer",
    [
        "Focus on the main ideas and themes presented, and on why sugar rises.",
        "Given the following text, consider what insulin does. What cannot happen without it?",
        "What is it that cells cannot do alone? I invite you to trace the path of glucose.",
        '"Uptake" and "release" are opposites here: weigh them as you read.',
        "Suppose a patient says “I'm sorry, I can't eat sugar”. What would you explain?",
        "Distinguish how ICH presents from ischemic stroke, and ask which finding comes first.",
        "Trace how FK and IK divide the work of moving an arm, and ask when each is better.",
        "Consider the continuity of f on [a, b], and ask what would fail without one endpoint.",
        "Compare how insulin fails in diabetes type 1. Ask what differs in type 2. What is shared?",
        "Consider why the inspectors say that it violates safety rules, and weigh their evidence.",
        "Note how the speaker's refusal to apologize shapes the scene, and what follows from it.",
        "The point to watch is how each reform answers the failure of the one before.",
    ],
)
def test_unusual_but_good_answers_pass(answer):
    assert judge(answer).complaint is None


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        ("", "stop", "empty"),
        (" \n\t", "stop", "empty"),
        ("...", "stop", "empty"),
        ("<think>Let me see what the", "length", "inside its reasoning"),
        ("", "length", "inside its reasoning"),
        ("Follow how insulin moves glu", "length", "cut off"),
        ("I'm sorry, but I can't help with that.", "stop", "refusal"),
        ("I’m sorry, but I can’t assist with that request.", "stop", "refusal"),
        ("Sorry, but I am unable to do that.", "stop", "refusal"),
        ("As an AI language model, I do not have opinions.", "stop", "refusal"),
        ("I cannot provide medical advice.", "stop", "refusal"),
        ("I won't create content of this kind.", "stop", "refusal"),
        ("I understand your wish, but I cannot help with that.", "stop", "refusal"),
        ("Unfortunately, I can't create a prompt for this text.", "stop", "refusal"),
        ("This goes against my content policy.", "stop", "refusal"),
        ("Content like that violates content policies.", "stop", "refusal"),
        ("I must apologize, for there is nothing here to write about.", "stop", "refusal"),
        ("We apologise for the trouble with this text.", "stop", "refusal"),
        ("Apologies aside, look at insulin. Apologize we must.", "stop", "refusal"),
        ("Follow the path of [insert topic] through the body.", "stop", "placeholder"),
        ("Try: 1. look at insulin and 2. look at glucose.", "stop", "list"),
        (GOOD, "content_filter", "refused or filtered"),
        (GOOD, "refusal", "refused or filtered"),
        ("- Look at insulin\n- Look at glucose", "stop", "list"),
        ("1. Look at insulin.\n2. Look at glucose.", "stop", "list"),
        ("Look. " * 6, "stop", "6 sentences"),
        (TEXT_ADAPT_CFT, "stop", "repeats the instruction"),
        ("This contextual prompt asks you to think about insulin.", "stop", "instruction"),
        ("Read <text> closely.", "stop", "instruction"),
        (prompt_rules(128), "stop", "repeats the instruction"),
        (TEXT, "stop", "consecutive words of the text"),
        ("Think: " + " ".join(TEXT.split()[3:16]), "stop", "consecutive words of the text"),
        ("Consider everything about insulin " * 20, "stop", "repeats itself"),
    ],
)
def test_bad_answers_are_named(answer, finish, reason):
    complaint = judge(answer, finish).complaint
    assert complaint is not None and reason in complaint
    assert "--" not in complaint  # it is told to a model, which has no options


def test_a_long_answer_without_tags_is_unwrapped_at_once():
    answer = "Consider how the enzyme changes its shape and what that means. " * 400
    begin = time.process_time()
    assert drop_thinking(answer) == answer
    assert time.process_time() - begin < 1.0  # it took 7 s while each character was a beginning
    assert drop_thinking(f"What do I say?</think>{GOOD}") == GOOD


def test_the_budget_is_a_bound_that_may_just_be_met():
    needed = Tokens().of_prompt(GOOD)
    assert judge(GOOD, budget=needed).complaint is None
    assert "too long" in str(judge(GOOD, budget=needed - 1).complaint)


def test_the_papers_own_prompts_would_be_accepted():
    for prompt in load_pool("paper").prompts:
        assert judge(prompt.text).complaint is None, prompt.id


def test_educational_texts_keep_paragraphs_and_must_teach():
    question = "A man drinks a lot and loses weight. " + "Which of these hormones is missing? " * 3
    passage = "Insulin is a hormone.\n\n" + "It lets cells take up glucose from blood. " * 10

    def complaint(answer: str):
        return judge_text(
            Reply(answer), instruction="Write a passage.", question=question
        ).complaint

    assert unwrap(passage, PASSAGE) == passage.strip()
    assert complaint(passage) is None
    assert complaint("心脏是循环系统的核心器官，它把血液送往全身。" * 5) is None
    assert "too short" in str(complaint("心脏是循环系统的核心器官，它把血液送往全身。"))
    assert "too short" in str(complaint("Insulin is a hormone."))
    assert "of the question" in str(complaint(passage + question))
    assert "refusal" in str(complaint("I'm sorry, but I can't write that. " + passage))


def test_sentence_ends_are_not_fooled_by_abbreviations():
    text = 'Dr. A. Smith et al. saw it (Fig. 2). "Is it so?" he asked. It is, e.g. here. End'
    ends = [text[:end] for end in sentence_ends(text)]
    assert [end.rsplit(" ", 1)[-1] for end in ends] == ["2).", "asked.", "here."]
    assert count_sentences(text) == 4
    assert count_sentences("血糖上升\u3002为什么\uff1f因为缺少胰岛素\uff01") == 3
    assert count_sentences("3.5 mg is enough. It works...") == 2


def test_a_cut_falls_after_a_sentence_else_before_a_word():
    text = "One is first. Two is second. Three is third."
    assert cut_at_sentence(text, 100) == text
    assert cut_at_sentence(text, 30) == "One is first. Two is second."
    assert cut_at_sentence(text, 13) == "One is first."
    assert cut_at_sentence(text, 12) == "One is"
    assert cut_at_sentence("Heading\n\nBody without stops goes on", 20) == "Heading"
    assert cut_at_sentence("x" * 50, 20) == "x" * 20


@given(st.text(alphabet="ab.!? \n\u3002", max_size=80), st.integers(1, 90))
def test_a_cut_is_a_prefix_within_the_limit(text, limit):
    cut = cut_at_sentence(text, limit)
    assert text.startswith(cut) and len(cut) <= max(limit, 0)
    assert bool(cut.strip()) or not text[:limit].strip() or len(text) > limit
    if len(text) <= limit:
        assert cut == text


def test_a_prompt_within_the_budget_is_not_cut_in_training(any_tokenizer):
    from axolotl_cft.core.options import DatasetOptions

    def is_cut(prompt_format: str, budget: int) -> bool:
        options = {"prompts": {"column": "p"}, "prompt_budget": budget, "format": prompt_format}
        encoder = encoder_for(any_tokenizer, sequence_len=512, **options)
        return encoder.contexts.context_of("p", GOOD).cut

    for prompt_format in ("plain", "chat"):
        if prompt_format == "chat" and not any_tokenizer.chat_template:
            continue
        tokens = Tokens(DatasetOptions(format=prompt_format), tokenizer=any_tokenizer)
        needed = tokens.of_prompt(GOOD)
        assert not is_cut(prompt_format, needed)
        assert is_cut(prompt_format, needed - 1)


def test_prefix_holds_at_most_the_limit(any_tokenizer):
    text = TEXT * 20
    for tokens in (Tokens(), Tokens(tokenizer=any_tokenizer)):
        prefix = text[: tokens.prefix(text, 100)]
        assert 80 <= tokens.of_text(prefix) <= 101
        assert tokens.prefix("short", 100) == 5
        broken = "\ud83d " * 200  # half an emoji, as cut texts have it
        assert tokens.of_text(broken) >= 200 and tokens.prefix(broken, 100) <= 300


def test_special_tokens_without_a_name_are_known_too():
    assert "<|eot_id|>" in Tokens(tokenizer=byte_level(LLAMA_3)).special


def test_budget_and_tokenizer_come_from_an_axolotl_config(tmp_path, sentencepiece_tokenizer):
    model = tmp_path / "model"
    sentencepiece_tokenizer.save_pretrained(model)
    config = tmp_path / "config.yml"
    config.write_text(f"base_model: {model}\ncft: {{prompt_budget: 77, separator: ' '}}\n")
    tokens = read_tokens(config, None)
    assert (tokens.budget, tokens.options.separator, tokens.name) == (77, " ", str(model))
    assert read_tokens(config, None, 50).budget == 50
    assert read_tokens(None, None).budget == 128
    config.write_text("cft: {}\n")
    with pytest.raises(CFTError, match="names no base_model"):
        read_tokens(config, None)
    with pytest.raises(CFTError, match="cannot be loaded"):
        read_tokens(None, str(tmp_path))


def test_counting_uses_the_tokens_and_the_template_that_a_config_sets(
    tmp_path, sentencepiece_tokenizer
):
    from axolotl.utils.chat_templates import get_chat_template
    from transformers import AddedToken

    bare = copy.deepcopy(sentencepiece_tokenizer)
    bare.chat_template = None
    bare.save_pretrained(tmp_path / "model")
    config = tmp_path / "config.yml"
    text = f"base_model: {tmp_path / 'model'}\ncft: {{format: chat}}\n"
    config.write_text(text)
    with pytest.raises(CFTError, match="chat needs a chat template"):
        read_tokens(config, None)

    config.write_text(text + "chat_template: chatml\ntokens: ['<|im_start|>', '<|im_end|>']\n")
    counted = read_tokens(config, None).of_prompt(GOOD)
    # As the host adds them: they stand for themselves behind a letter too.
    bare.add_tokens([AddedToken(t, normalized=False) for t in ("<|im_start|>", "<|im_end|>")])
    bare.chat_template = get_chat_template("chatml")
    ids = bare.apply_chat_template(
        [{"role": "user", "content": GOOD}], add_generation_prompt=True, return_dict=False
    )
    assert counted == len(ids) + 1  # this tokenizer sets BOS, and the template writes none
    config.write_text(text + "chat_template: chatmel\n")
    with pytest.raises(CFTError, match="chat_template cannot be used .*chatmel"):
        read_tokens(config, None)


def test_fields_are_filled_in_one_pass_and_nothing_is_evaluated():
    filled = fill("Q: {question} A: {answer} {other}", question="{answer}", answer="{0.__class__}")
    assert filled == "Q: {answer} A: {0.__class__} {other}"
    assert fill("Go.", text="{x}") == "Go.\n\n<text>\n{x}\n</text>"


def test_strategies_and_stand_ins_depend_on_seed_and_text_alone():
    pool = load_pool("paper")
    texts = [f"text {i}" for i in range(300)]
    drawn = [draw_prompt(pool, 1, text).id for text in texts]
    assert drawn == [draw_prompt(pool, 1, text).id for text in texts]
    assert set(drawn) == {prompt.id for prompt in pool.prompts}
    assert drawn != [draw_prompt(pool, 2, text).id for text in texts]

    plan = PromptPlan(TEXT_ADAPT_CFT, pool, 1, Tokens(), 1000)
    message = plan.job(KEYS, "text 0").message
    assert draw_prompt(pool, 1, texts[0]).strategy in message and "text 0" in message
    found = {"good": Answer("good", "A."), "bad": Answer("bad", "bad", "it is bad")}
    rows = ["bad", None, "good"]
    assert usable_texts(rows, found, {}) == [None, None, "A."]
    assert usable_texts(rows, found, {"bad": "B."}) == ["B.", None, "A."]


def test_an_answer_may_open_like_its_strategy_but_not_repeat_the_instruction():
    pool = load_pool("paper")
    job = PromptPlan(TEXT_ADAPT_CFT, pool, 1, Tokens(), 1000).job(KEYS, "A text.")
    example = draw_prompt(pool, 1, "A text.").text
    assert job.judge(Reply(example)).complaint is None
    assert "instruction" in str(job.judge(Reply(TEXT_ADAPT_CFT)).complaint)


def test_long_texts_are_cut_for_the_request_alone():
    plan = PromptPlan(TEXT_ADAPT_CFT, None, 1, Tokens(), 50)
    text = "A sentence of some words. " * 40
    assert "words.\n</text>" in plan.job(KEYS, text).message
    assert (
        len(plan.shorten(text)) < len(text) and plan.shorten("A short text. ") == "A short text. "
    )
    exactly = "A word. " * 18
    assert divide(plan, KEYS, exactly).cut == 0 < divide(plan, KEYS, exactly * 9).cut


def answer(key: str, **more: object) -> Answer:
    return Answer(key, f"answer to {key}\n“ü”", **more)


def test_answers_outlive_a_write_that_was_cut_off(tmp_path):
    """The rollback journal of a write that did not end is what SQLite finds after a kill."""
    path = tmp_path / "run" / "answers.sqlite"
    with closing(Answers(path)) as answers:
        answers.store([answer("a"), answer("b", reject="it is bad", attempts=3, tokens_in=7)])
        whole = path.read_bytes()
        kept = answers.read(["b", "a", "c"])
    assert list(kept) == ["b", "a"] and kept["b"].reject == "it is bad" and not kept["b"].usable
    script = f"""
import os, signal, sqlite3
db = sqlite3.connect({str(path)!r})
db.execute("PRAGMA cache_size = 1")  # so that pages reach the file before the commit
db.executemany(
    "INSERT INTO answers VALUES (?, ?, NULL, 1, '', 1, 0, 0, 0, '')",
    ((f"more {{i}}", "text " * 500) for i in range(2000)),
)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert path.with_name("answers.sqlite-journal").exists() and path.stat().st_size > len(whole)
    with closing(Answers(path)) as answers:
        assert len(answers) == 2 and answers.read(["b", "a"]) == kept
        answers.store([answer("c"), answer("a", attempts=2)])
        assert len(answers) == 3 and answers.read(["a"])["a"].attempts == 2


def test_a_file_of_answers_has_one_writer_and_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "answers.sqlite"
    with closing(Answers(path)), pytest.raises(CFTError, match="in use by another run"):
        Answers(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(CFTError, match="written by a newer axolotl-cft"):
        Answers(path)
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE firefox (x)")
    with pytest.raises(CFTError, match="is a database of another program"):
        Answers(other)
    other.write_text("no database at all, but as long as one would be " * 9)
    for _ in range(2):  # a refusal leaves no lock behind
        with pytest.raises(CFTError, match=f"cannot use {other}: file is not a database"):
            Answers(other)
    with pytest.raises(CFTError, match="cannot write"):
        Answers(other / "answers.sqlite")


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path):
    with closing(Answers(tmp_path / "answers.sqlite")) as answers:
        answers.store([answer("a")])
        answers._db.execute("PRAGMA max_page_count = 8")  # SQLite's own way to be full
        with pytest.raises(CFTError, match="cannot use .*answers.sqlite: database or disk is full"):
            answers.store([answer("b"), replace(answer("c"), text="long " * 9999)])
        answers._db.execute("PRAGMA max_page_count = 80000")
        answers.store([answer("d")])  # another worker's, once somebody made room
    with closing(Answers(tmp_path / "answers.sqlite")) as answers:
        assert list(answers.read("abcd")) == ["a", "d"]


def test_answers_that_arrive_together_share_a_write(tmp_path):
    commits = []
    with closing(Answers(tmp_path / "answers.sqlite")) as answers:
        answers._db.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else 0)

        async def all_at_once() -> None:
            batches = _Commits(answers)
            await asyncio.gather(*(batches.commit(answer(str(i))) for i in range(64)))

        asyncio.run(all_at_once())
        assert len(answers) == 64 and 0 < len(commits) < 10
