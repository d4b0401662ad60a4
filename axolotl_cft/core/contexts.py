"""What stands before a text: a prompt as token ids, with BOS, separator or chat template."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

from axolotl_cft.core.encoding import Context, Frame
from axolotl_cft.errors import CFTError

PINNED_DATE = datetime(2024, 7, 26)
"""The date that chat templates see, so that a prepared dataset does not depend on the day."""


_THINKING = re.compile(r"[<\[](?P<end>/|\|?END_)?[^<>\[\]\s]*think[^<>\[\]\s]*[>\]]", re.IGNORECASE)
"""Tags that open and close a model's thinking: <think>, [THINK], <|START_THINKING|>, …"""


_MARK = "axolotl-cft"
"""A prompt to find again in what a template makes of it."""


@dataclass(frozen=True)
class Template:
    """How the chat template of a dataset is to be rendered.

    Attributes:
        jinja: the template; None for the tokenizer's own.
        kwargs: the config's `chat_template_kwargs`.
    """

    jinja: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)


OWN_TEMPLATE = Template()
"""The tokenizer's template, as it is."""


class ContextEncoder:
    """Turns prompts into the ids that stand before a text.

    Args:
        tokenizer: a Hugging Face tokenizer.
        frame: what stands around a text; its `prompt_budget` bounds a context.
        format_: `plain`, or `chat` for the user turn of the tokenizer's chat template.
        separator: between prompt and text, in the plain format.
        template: for the chat format.
    """

    def __init__(
        self,
        tokenizer: Any,
        frame: Frame,
        format_: Literal["plain", "chat"] = "plain",
        separator: str = "\n\n",
        template: Template = OWN_TEMPLATE,
    ):
        self.tokenizer = tokenizer
        self.frame = frame
        self.separator = separator
        self.template = template
        self._is_chat = format_ == "chat"
        self._render = self._render_chat if self._is_chat else self._render_plain
        self._remember()

    def _remember(self) -> None:
        # A pool's prompts recur; prompts from columns mostly do not, hence the bound.
        self._remembered = functools.lru_cache(maxsize=4096)(self._encode)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is remembered, which cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_remembered"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._remember()

    def context_of(self, prompt_id: str, prompt: str, *, inside: bool = False) -> Context:
        """The ids that stand before a text behind this prompt, cut to `prompt_budget`.

        Args:
            prompt_id: of the prompt.
            prompt: the text.
            inside: the prompt stands inside a row (`Frame.every`): with the separator on either
                side, and without BOS.
        """
        return self._remembered(prompt_id, prompt, inside)

    def length(self, prompt: str) -> int:
        """Tokens that a prompt takes with all that surrounds it, uncut, where it takes most."""
        inside = len(self._render_inside(prompt)) if self.frame.every else 0
        return max(len(self._render(prompt)), inside)

    def check(self, prompts: Mapping[str, str], label: str = "") -> None:
        """Refuse what cannot fit the budget.

        Args:
            prompts: id -> text of those known beforehand; what only the data bring is cut.
            label: where they come from, for messages.

        Raises:
            CFTError: no chat template where one is needed, or one that opens a thought, no room
                for any prompt, or a prompt that is too long.
        """
        budget = self.frame.prompt_budget
        if self._is_chat:
            self._check_template()
        if (around := self.length("")) >= budget:
            raise CFTError(
                f"cft.prompt_budget: {budget} has no room for a prompt beside the {around} tokens "
                "of BOS, separator or chat template; raise it"
            )
        needed = {id_: self.length(prompt) for id_, prompt in prompts.items()}
        worst = max(needed, key=needed.__getitem__, default="")
        if needed.get(worst, 0) > budget:
            raise CFTError(
                f"{label}: prompt '{worst}' takes {needed[worst]} tokens with what surrounds it, "
                f"more than cft.prompt_budget: {budget}; set it to at least {needed[worst]}"
            )

    def _check_template(self) -> None:
        if not (self.template.jinja or self.tokenizer.chat_template):
            raise CFTError(
                "cft.format: chat needs a chat template, and the tokenizer has none; set "
                "`chat_template` in the config, or use format: plain"
            )
        # Behind the prompt only: a template's instructions may speak of such tags.
        tags = list(_THINKING.finditer(self._chat_text(_MARK).rpartition(_MARK)[2]))
        if tags and not tags[-1]["end"]:
            raise CFTError(
                f"cft.format: chat: the chat template opens {tags[-1][0]} where the reply begins, "
                "so the text would be trained as thinking; set `chat_template_kwargs: "
                "{enable_thinking: false}` if the template knows it, choose another "
                "`chat_template`, or use format: plain"
            )

    def _encode(self, prompt_id: str, prompt: str, inside: bool) -> Context:
        budget, render = self.frame.prompt_budget, self._render_inside if inside else self._render
        ids, prompt_ids = render(prompt), self._plain_ids(prompt)
        cut = len(ids) > budget
        keep = len(prompt_ids)
        while len(ids) > budget and keep > 0:
            # A text that was cut between tokens may not encode to the same ids again: cut further.
            keep = max(0, keep - max(1, len(ids) - budget))
            ids = render(self.tokenizer.decode(prompt_ids[:keep]))
        return Context(np.asarray(ids, dtype=np.int32), prompt_id, cut)

    def _render_plain(self, prompt: str) -> list[int]:
        return [*self.frame.start, *self._plain_ids(prompt + self.separator)]

    def _render_inside(self, prompt: str) -> list[int]:
        return self._plain_ids(self.separator + prompt + self.separator)

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _render_chat(self, prompt: str) -> list[int]:
        """User turn and generation prompt of the chat template, as ids.

        BOS comes first where the tokenizer sets one, whether or not the template writes it.
        """
        ids, start = self._plain_ids(self._chat_text(prompt)), list(self.frame.start)
        return ids if ids[: len(start)] == start else [*start, *ids]

    def _chat_text(self, prompt: str) -> str:
        """User turn and generation prompt of the chat template, the date pinned."""
        chosen = {"chat_template": self.template.jinja} if self.template.jinja else {}
        dates = {
            "date_string": PINNED_DATE.strftime("%d %b %Y"),
            "strftime_now": PINNED_DATE.strftime,
        }
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            **{"add_generation_prompt": True, **dates, **chosen, **self.template.kwargs},
        )


def frame_of(
    tokenizer: Any, prompt_budget: int, sequence_len: int, every: int | None = None
) -> Frame:
    """What a tokenizer puts around a text by itself, and the room that is left.

    Raises:
        CFTError: the tokenizer has no EOS, or there is no room for text or for BOS.
    """
    if tokenizer.eos_token_id is None:
        raise CFTError("the tokenizer has no EOS token; set special_tokens.eos_token in the config")
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    special = tokenizer("a")["input_ids"]
    # What the tokenizer puts in front by itself is what the model was trained to expect; a BOS
    # that is defined but not set by default (Phi-3, say) is not.
    begin = next((i for i in range(len(special)) if special[i : i + len(plain)] == plain), 0)
    if sequence_len - prompt_budget < 2:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} leaves no room for text in sequence_len: "
            f"{sequence_len}; lower the one or raise the other"
        )
    if begin > prompt_budget:
        raise CFTError(
            f"cft.prompt_budget: {prompt_budget} has no room for BOS; set {begin} or more"
        )
    return Frame(tuple(special[:begin]), tokenizer.eos_token_id, sequence_len, prompt_budget, every)
