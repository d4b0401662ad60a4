"""The words of the requests, and which learning strategy a text is asked for (pure)."""

import re
from dataclasses import dataclass

from axolotl_cft.generation.form import MAX_SENTENCES

TEXT_ADAPT_CFT = (
    "Given the following text, generate a contextual prompt that encourages a reader to focus on "
    "the main ideas and themes presented. The contextual prompt should be concise and help the "
    "reader engage deeply with the content."
)
"""The paper's instruction for auto-generated prompts (TextAdaptCFT), as its authors quote it."""

EDUCATE = (
    "Below is a question with its correct answer. Write an educational passage, as a good textbook "
    "would, that teaches the knowledge needed to answer questions of this kind: the concepts, the "
    "mechanisms, and what tells similar cases apart. Write connected prose of three to six "
    "paragraphs. Do not repeat the question, its wording or its case, and mention neither the "
    "question nor an exam."
)
"""Our instruction for `educate`: the paper says what was made, not in which words it was asked."""

EDUCATE_WITH_OPTIONS = (
    "Below is a question with its correct answer and the options it was asked with. Write an "
    "educational passage, as a good textbook would, that teaches the knowledge needed to answer "
    "questions of this kind: the concepts, the mechanisms, and what tells the correct answer from "
    "the other options. Write connected prose of three to six paragraphs. Do not repeat the "
    "question, its wording, its case or its options as they are worded, and mention neither the "
    "question, nor that there were options, nor an exam."
)
"""The same where the options are shown."""

NAME_STRATEGIES = (
    "Consider the following document. What are some strategies specific to this document that I "
    "can use to help me learn and remember all of the information contained? Use markdown and "
    "prefix each strategy with ##.\n\n<document>\n{text}\n</document>"
)
"""Active Reading's first request (Lin et al., arXiv 2508.09494), as re-implementations quote it."""

APPLY_STRATEGY = (
    "Here's a learning strategy:\n{strategy}\n\n"
    "Apply this strategy to the following document:\n<document>\n{text}\n</document>"
)
"""The second one, for each strategy."""

_BEFORE = (
    "For orientation only: in its document, the text below comes right after this.\n\n"
    "<before>\n{}\n</before>"
)

_PLACEHOLDER = re.compile(r"\{(text|question|answer|options|strategy)\}")


@dataclass(frozen=True)
class Strategy:
    """A learning strategy that a prompt is asked to follow: its name and an example prompt."""

    name: str
    example: str


def prompt_rules(budget: int) -> str:
    """What every request for a prompt ends with: the form that the checks demand.

    `budget` is in tokens; the words asked for are half of it, so that an obedient model's answer
    fits whatever the tokenizer.
    """
    return (
        f"Answer with the prompt alone: one to three sentences (never more than {MAX_SENTENCES}), "
        f"at most {max(8, budget // 2)} words, plain text, addressed to the reader, in the "
        "language of the text. No heading, no list, no quotation marks, no words copied from it."
    )


def fill(instruction: str, **fields: str) -> str:
    """Put fields into an instruction; those it does not name follow it, each in a tag of its name.

    `{text}`, `{question}`, `{answer}`, `{options}` and `{strategy}` are the only placeholders, and
    they are replaced in one pass: braces inside a field stay as they are, and nothing is evaluated.
    """
    named = set(_PLACEHOLDER.findall(instruction))
    filled = _PLACEHOLDER.sub(lambda match: fields.get(match[1], match[0]), instruction.strip())
    rest = [f"<{name}>\n{value}\n</{name}>" for name, value in fields.items() if name not in named]
    return "\n\n".join([filled, *rest])


def prompt_request(
    instruction: str, text: str, *, budget: int | None, strategy: Strategy | None, before: str = ""
) -> str:
    """The user message that asks for the contextual prompt of `text`.

    What stands `before` it in its document comes first, and is said to be no part of it. The rules
    of the `budget` come last; without one the text follows the instruction as it is, and nothing
    comes after it.
    """
    parts = [_BEFORE.format(before)] if before else []
    bare = budget is None and "{text}" not in instruction
    parts.append(fill(f"{instruction.strip()}\n\n{{text}}" if bare else instruction, text=text))
    if strategy is not None:
        parts.append(
            f"Let the prompt follow the learning strategy named {strategy.name}. In general words "
            f"that strategy reads: {strategy.example} Make it specific to the text."
        )
    if budget is not None:
        parts.append(prompt_rules(budget))
    return "\n\n".join(parts)


def ask_again(request: str, complaint: str) -> str:
    """The same request after an answer that could not be used, with the reason."""
    return f"{request}\n\nA previous answer could not be used because {complaint}. Write another."
