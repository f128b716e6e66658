"""Removes what a model writes for itself: reasoning, tool calls and the tokens of its chat template. Pure.

Models mark reasoning in many ways: `<think>…</think>`, `[THINK]…[/THINK]`, `<|channel|>analysis<|message|>…`. Where the
chat template opened the tag, the reply holds only the closing one; then all text before it is withdrawn. An answer that
mentions a tag ("the tag <think> opens it") keeps it: a tag counts at the start of the reply, of a line or of a
sentence, not in quotes and not in mid-sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_THOUGHTS = "think|thinking|thoughts?|reasoning|reflection|scratchpad|inner_monologue|seed:think|analysis"
_TOOLS = (
    r"tool_calls?|toolcall|function_calls?|function|tool_response|tool_result|tools|invoke|"
    r"[a-z]{2,16}:(?:tool_call|function_calls|invoke)"
)
_ANSWERS = "answer|response|final_answer|final"
_TEMPLATE = "s|bos|eos|unk|pad|end_of_turn|start_of_turn|start_of_image"
_XML = re.compile(
    rf"<(?P<end>/?)(?:(?P<thought>{_THOUGHTS})|(?P<tool>{_TOOLS})|(?P<answer>{_ANSWERS})|(?P<template>{_TEMPLATE}))"
    r"(?:[=\s][^<>\n]{0,120})?/?>",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[(?P<end>/?)(?:(?P<thought>THINK)|(?P<tool>TOOL_CALLS|TOOL_RESULTS)|(?P<template>INST))\]")
_TRIANGLES = re.compile(r"◁(?P<end>/?)(?P<thought>think)▷")
# `<|name|>`, in DeepSeek's template with wide bars; `<|channel>` and `<channel|>` in Gemma's.
_TOKEN = re.compile(r"<[|｜](?P<name>[^|｜<>\n]{1,60})[|｜]>|<\|(?P<opens>channel)>|<(?P<closes>channel)\|>")
_TAGS = (_XML, _BRACKETS, _TRIANGLES, _TOKEN)
# The beginning of such a tag, at the end of the text so far.
_BEGUN = re.compile(
    r"<(?:[|｜][^|｜<>\n]{0,60}[|｜]?|/?(?:[A-Za-z_][\w:]{0,30}[|/]?)?)?$|\[/?[A-Z_]{0,12}$|◁/?[a-z]{0,5}$"
    rf"|</?(?:{_THOUGHTS}|{_TOOLS}|{_ANSWERS}|{_TEMPLATE})[=\s][^<>\n]{{0,120}}$",
    re.IGNORECASE,
)
_CANDIDATE = re.compile(r"[<\[◁]")
_QUOTES = "\"'`“”„‘’«»"
_BOUNDARIES = ".!?…।॥。\n"
_MENTIONED_FIRST = re.compile(r"[<\[◁][^<>\]▷]*[>\]▷] [a-zß-ÿ]")
_DETACHED = re.compile(r"\s+\S")

# Names of `<|name|>`, after `▁` and spaces became `_`.
_OPENS_THOUGHT = frozenset({"begin_of_thought", "start_thinking", "think", "thinking", "thought", "begin_think"})
_CLOSES_THOUGHT = frozenset({"end_of_thought", "end_thinking", "/think", "/thinking", "/thought", "end_think"})
_OPENS_TOOL = re.compile(
    r"tool_calls?(?:_section)?_(?:begin|start)|tool_calls?|start_action|python_tag|tool_list_start"
)
_CLOSES_TOOL = re.compile(r"tool_calls?(?:_section)?_end|/tool_calls?|end_action|eom_id|tool_list_end")
_HEADERS = frozenset({"start", "channel", "im_start", "start_header_id"})
_ROLES = frozenset({"assistant", "user", "system", "tool", "observation", "model"})
_OWN_ROLES = frozenset({"assistant", "model"})
# Some servers strip the tokens of harmony's channels and leave their names: "analysisWe need … assistantfinalIt will".
_STRIPPED_START = re.compile(r"(?:analysis|commentary)(?=[A-Z])")
_STRIPPED_STARTS = ("analysis", "commentary")
_STRIPPED_END = "assistantfinal"

_MAX_HEADER_CHARS = 100
# Hidden text that is kept for the case that its tag is never closed.
_MAX_HELD_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class VisibleText:
    """Text that is part of the answer; with `withdraws`, the text before it was reasoning and is not."""

    text: str
    withdraws: bool = False


class _Part(Enum):
    ANSWER = auto()
    THOUGHT = auto()
    TOOL = auto()
    # A channel, or another speaker's turn, up to the next header.
    FOREIGN = auto()
    # Between a token such as `<|channel|>` and the body that it introduces.
    HEADER = auto()
    # Reasoning whose tokens the server stripped.
    STRIPPED = auto()


class ReasoningFilter:
    """Filters one reply, pushed in deltas; how it is divided into deltas never changes the result.

    `has_hidden` says whether text was hidden so far.
    """

    def __init__(self, begins_in_reasoning: bool = False) -> None:
        """`begins_in_reasoning`: the chat template opens the reasoning; a reply that never closes it is all answer."""
        self._text = ""
        self._begins_in_reasoning = begins_in_reasoning
        self._part = _Part.THOUGHT if begins_in_reasoning else _Part.ANSWER
        self.has_hidden = False
        self._header = ""
        self._header_token = ""
        self._held = ""
        # The last characters of the answer so far, and its last that is not a space.
        self._previous = ""
        self._last_mark = ""
        self._mentions_tag = False
        self._saw_final_channel = False
        self._output: list[str] = []
        self._withdraws = False

    @property
    def lacks_reasoning(self) -> bool:
        """Whether the reply was to begin in reasoning, and no end of it has come."""
        return self._begins_in_reasoning

    @property
    def is_hiding(self) -> bool:
        """Whether the latest text is hidden."""
        return self._part is not _Part.ANSWER

    def push_text(self, text: str) -> VisibleText:
        """Add text; return what is surely part of the answer."""
        self._text += text
        return self._scan(final=False)

    def end_text(self) -> VisibleText:
        """Return the rest of the answer."""
        visible = self._scan(final=True)
        held, self._held = self._held, ""
        is_mention = self._part is _Part.THOUGHT and (
            self._last_mark or self._begins_in_reasoning or _MENTIONED_FIRST.match(held)
        )
        if self._part is _Part.STRIPPED or (is_mention and len(held) < _MAX_HELD_CHARS):
            # The tag was never closed: the answer mentions it, or its first word only looks like one.
            self.has_hidden = False
            return VisibleText(visible.text + held, visible.withdraws)
        return visible

    def _scan(self, final: bool) -> VisibleText:
        while self._text and self._step(final):
            pass
        visible = VisibleText("".join(self._output), self._withdraws)
        self._output, self._withdraws = [], False
        return visible

    def _step(self, final: bool) -> bool:
        """Process the text up to and including the next tag; return False when more text is needed."""
        if self._part is _Part.ANSWER and not self._last_mark and not self._decide_start(final):
            return False
        if self._is_stripped:
            return self._skip_stripped(final)
        candidate = _CANDIDATE.search(self._text)
        if candidate is None:
            self._take(len(self._text))
            return True
        if candidate.start():
            self._take(candidate.start())
            return True
        found = next((match for tag in _TAGS if (match := tag.match(self._text))), None)
        if found is not None:
            return self._on_tag(found, final)
        if not final and _BEGUN.match(self._text):
            return False
        self._take(1)
        return True

    @property
    def _is_stripped(self) -> bool:
        return self._part is _Part.STRIPPED

    def _decide_start(self, final: bool) -> bool:
        start = self._text.lstrip()
        if _STRIPPED_START.match(start):
            self._part, self._held = _Part.STRIPPED, ""
        return final or not start or not any(name.startswith(start) for name in _STRIPPED_STARTS)

    def _skip_stripped(self, final: bool) -> bool:
        before, found, after = self._text.partition(_STRIPPED_END)
        if found:
            self._part, self._text, self._held = _Part.ANSWER, after, ""
            return True
        kept = 0 if final else len(_STRIPPED_END) - 1
        cut = max(0, len(before) - kept)
        self._held = (self._held + before[:cut])[:_MAX_HELD_CHARS]
        self._text = before[cut:]
        return False

    def _take(self, count: int) -> None:
        """Pass on, or hide, the next `count` characters."""
        text, self._text = self._text[:count], self._text[count:]
        if self._part not in (_Part.ANSWER, _Part.HEADER) and not text.isspace():
            self.has_hidden = True
        match self._part:
            case _Part.ANSWER:
                self._show(text)
            case _Part.HEADER:
                self._on_header_text(text)
            case _:
                self._held += text[: max(0, _MAX_HELD_CHARS - len(self._held))]

    def _show(self, text: str) -> None:
        self._output.append(text)
        self._previous = text[-1:] or self._previous
        if stripped := text.rstrip(" \t"):
            self._last_mark = stripped[-1] if not stripped.isspace() else (self._last_mark and "\n")

    def _on_header_text(self, text: str) -> None:
        name, newline, body = text.partition("\n")
        self._header += name
        if newline and self._header_token in ("im_start", "start_of_turn", "opens"):
            self._end_header()
            self._text = body + self._text
        elif newline:
            self._header += " " + body
        if self._part is _Part.HEADER and len(self._header) > _MAX_HEADER_CHARS:
            # It introduces nothing.
            self._part = _Part.ANSWER

    def _end_header(self) -> None:
        """Decide by the header whether the body is part of the answer."""
        words = re.findall(r"[\w.]+", self._header.lower())
        if "final" in words:
            if self._last_mark and not self._saw_final_channel:
                self._withdraw()
            self._saw_final_channel = True
            self._part, self._held, self._begins_in_reasoning = _Part.ANSWER, "", False
        elif {"analysis", "commentary", "thought"} & set(words) or "to=" in self._header:
            self._part = _Part.FOREIGN
        else:
            self._part = _Part.ANSWER if not words or words[0] in _OWN_ROLES else _Part.FOREIGN

    def _withdraw(self) -> None:
        self.has_hidden = True
        self._output.clear()
        self._withdraws = True
        self._previous = self._last_mark = ""
        self._mentions_tag = False

    def _on_tag(self, tag: re.Match[str], final: bool) -> bool:
        groups = tag.groupdict()
        if tag.re is _TOKEN:
            self._text = self._text[tag.end() :]
            self._on_token(groups)
            return True
        if groups["thought"]:
            return self._on_thought_tag(tag, final)
        if groups["tool"]:
            return self._on_tool_tag(tag, final)
        if self._part is _Part.ANSWER and not self._counts():
            self._take(tag.end())
            return True
        self._text = self._text[tag.end() :]
        if groups["template"] == "start_of_turn":
            self._begin_header("start_of_turn")
        return True

    def _on_thought_tag(self, tag: re.Match[str], final: bool) -> bool:
        if self._part is _Part.ANSWER and tag["end"]:
            return self._on_lone_end(tag, final)
        if self._part is _Part.ANSWER and not self._counts():
            self._mentions_tag = True
            self._take(tag.end())
        elif self._part is _Part.ANSWER:
            self._part, self._held = _Part.THOUGHT, tag[0]
            self._text = self._text[tag.end() :]
        elif self._part is _Part.THOUGHT and tag["end"]:
            self._part, self._held, self._begins_in_reasoning = _Part.ANSWER, "", False
            self._text = self._text[tag.end() :]
        else:
            self._take(tag.end())
        return True

    def _on_lone_end(self, tag: re.Match[str], final: bool) -> bool:
        """Process a closing tag without an opening one: the template may have opened it, or the answer mentions it."""
        following = self._text[tag.end() :]
        if not following.strip() and not final:
            return False
        detached = _DETACHED.match(following)
        in_sentence = following[:1] in tuple(",.;:?!") or (
            detached is not None and "\n" not in detached[0] and detached[0][-1].islower()
        )
        is_mention = (
            self._mentions_tag
            or self._previous in tuple(_QUOTES)
            or following[:1] in tuple(_QUOTES)
            or (self._previous in (" ", "\t") and not self._counts() and in_sentence)
        )
        if is_mention and self._last_mark:
            self._take(tag.end())
            return True
        self._text = following
        if following.strip() and self._last_mark:
            self._withdraw()
        return True

    def _on_tool_tag(self, tag: re.Match[str], final: bool) -> bool:
        following = self._text[tag.end() :].lstrip()
        if self._part is _Part.ANSWER and not self._counts() and not following and not final:
            return False
        if self._part is _Part.ANSWER and not self._counts() and following[:1] not in ("{", "[", "<"):
            self._take(tag.end())
            return True
        self._text = self._text[tag.end() :]
        if self._part is _Part.ANSWER and not tag["end"] and not tag[0].endswith("/>"):
            self._part, self._held, self._header = _Part.TOOL, "", tag["tool"].lower()
        elif self._part is _Part.TOOL and tag["end"] and tag["tool"].lower() == self._header:
            self._part = _Part.ANSWER
        return True

    def _counts(self) -> bool:
        """Whether a tag here is markup: at the start of the reply, of a line or of a sentence, and not in quotes."""
        if not self._last_mark:
            return True
        return self._previous not in tuple(_QUOTES) and self._last_mark in tuple(_BOUNDARIES)

    def _begin_header(self, token: str) -> None:
        self._part, self._header, self._header_token = _Part.HEADER, "", token

    def _on_token(self, groups: dict[str, str | None]) -> None:
        if groups["opens"] or groups["closes"]:
            if groups["opens"]:
                self._begin_header("opens")
            else:
                self._part = _Part.ANSWER
            return
        name = (groups["name"] or "").lower().replace("▁", "_").replace(" ", "_")
        if name in _HEADERS:
            # `<|start|>assistant<|channel|>final<|message|>` is one header.
            header = f"{self._header} " if self._part is _Part.HEADER else ""
            self._begin_header(name)
            self._header = header if name == "channel" and header else ""
        elif name in ("message", "end_header_id"):
            if self._part is _Part.HEADER:
                self._end_header()
        elif name in _ROLES:
            self._part = _Part.ANSWER if name in _OWN_ROLES else _Part.FOREIGN
        elif name in _OPENS_THOUGHT:
            self._part, self._held = _Part.THOUGHT, ""
        elif name in _CLOSES_THOUGHT:
            if self._part is _Part.ANSWER and self._last_mark:
                self._withdraw()
            self._part, self._held, self._begins_in_reasoning = _Part.ANSWER, "", False
        elif _CLOSES_TOOL.fullmatch(name):
            self._part = _Part.ANSWER
        elif _OPENS_TOOL.fullmatch(name):
            self._part, self._header = _Part.TOOL, ""
        elif self._part is _Part.HEADER or name in ("end", "im_end", "return", "call", "eot_id"):
            self._part = _Part.ANSWER
