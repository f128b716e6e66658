"""Markdown, HTML, links, code, tables, citations and pictographs become plain sentences. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any, ClassVar

from orchestrator.conversation.output.normalisation.formulas import read_formula
from orchestrator.conversation.output.normalisation.scanner import Scanner, Step, may_become
from orchestrator.conversation.output.normalisation.spacing import REMOVED

# Longer constructs are taken literally, so that little text ever waits.
_MAX_LABEL, _MAX_FORMULA, _MAX_CITATION = 300, 300, 80

_WORD = re.compile(r"[^\W\d_]+")
_ADDRESS = re.compile(r"(?:(?:https?|ftp|wss?)://|www\.)", re.IGNORECASE)
_ADDRESSES = ("https://", "http://", "ftp://", "wss://", "ws://", "www.")
# What ends an address in running text; of the marks at its end, the sentence keeps those below.
_ADDRESS_END = re.compile(r"[\s<>\"`|]")
_SENTENCE_MARKS = ".,;:!?)]}'’”»*_…"
_NAME_CHARACTER = r"[^\s/?#:@<>\"`|()\[\]{}'’”»*_…,;!]"
_HOST = re.compile(rf"(?P<host>\[[^\]\s]{{0,60}}\]|{_NAME_CHARACTER}{{0,253}})")
_OPEN_HOST = re.compile(rf"(?:\[[^\]\s]{{0,60}}\]?|{_NAME_CHARACTER}{{0,252}})$")
_USER = re.compile(r"[^\s/?#@]{0,200}@")
_OPEN_USER = re.compile(r"[^\s/?#@]{0,200}$")
_TOP_LEVEL = (
    "com|org|net|edu|gov|info|io|dev|app|ai|news|radio|tv|me|co|"
    "eu|de|at|ch|fr|be|es|it|nl|pt|br|in|uk|us|ca|au|ie|mx|ar"
)
_BARE_HOST = re.compile(rf"(?:[A-Za-z0-9](?:[\w-]*\.))+(?:{_TOP_LEVEL})(?::\d{{1,5}})?", re.IGNORECASE)
_MAX_TOKEN = 260

# Pictographs and their modifiers, without signs that have a spoken name (°, €, ©).
_PICTOGRAPHS = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\U000e0020-\U000e007f\u20e3\ufe0f]+")
_UNSEEN = re.compile("[\u200b\u2060\ufeff\ufe0e\u00ad\ud800-\udfff\ue000-\uf8ff]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")

_LINE_MARK = re.compile(r"(?:\#{1,6}[ \t]+|>[ \t]?|[-*+•‣◦▪·][ \t]+(?:\[[ xX]\][ \t]+)?)")
_RULE = re.compile(r"[-=*_|:+ \t]{0,240}\n")
_OPEN_RULE = re.compile(r"[-=*_|:+ \t]{0,240}$")
_OPEN_LINE_MARK = re.compile(r"(?:\#{1,6}[ \t]*|>|[-*+•‣◦▪·][ \t]*(?:\[[ xX]?\]?)?)$")

_FENCE = re.compile(r"`{3,16}|~{3,16}")
_CODE = re.compile(r"(`{1,2})(?!`)([^\n`]{1,120})\1(?!`)")
_OPEN_CODE = re.compile(r"`{1,2}(?!`)[^`\n]{0,120}`{0,2}$")
_OPEN_LINK = re.compile(r"!?\[(?:[^\[\]\n]|\[[^\[\]\n]{0,80}\]){0,300}(?:\[[^\[\]\n]{0,80})?\]?$")
_LINK = re.compile(r"!?\[(?P<label>(?:[^\[\]\n]|\[[^\[\]\n]{0,80}\]){0,300})\](?=[(\[])")
# `[name]: address`, and a footnote: the rest of the line is not spoken.
_DEFINITION = re.compile(
    r"\[(?:[^\[\]\n]{1,80}\]:[ \t]{0,8}<?(?:https?://|www\.|mailto:)|\^[^\[\]\n]{1,80}\]:)", re.IGNORECASE
)
_OPEN_DEFINITION = re.compile(r"\[[^\[\]\n]{0,80}(?:\](?::[ \t]{0,8}<?[a-z]{0,6}:?/?)?)?$", re.IGNORECASE)
_CITATION = re.compile(r"\[(?:\^?\d{1,3}(?:[,;–-][ \t]?\d{1,3})*|\^[\w-]{1,40})\](?![(:])|【[^】\n]{0,80}】")
_SPEAKER = re.compile(r"\[SPEAKER\d\]")
# A tag without quoted attributes, and the start of one with such an attribute, which may be of any length.
_ATTRIBUTES = r"(?:\s{1,4}[\w:@.-]{1,30}(?:=[^\s\"'<>]{1,80})?){0,3}"
_NAME = r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9]{0,15})"
_TAG = re.compile(rf"{_NAME}{_ATTRIBUTES}\s{{0,4}}/?>")
_TAG_START = re.compile(rf"{_NAME}{_ATTRIBUTES}?\s{{1,4}}[\w:@.-]{{1,30}}\s?=\s?(?P<quote>[\"'])")
_AUTOLINK = re.compile(r"<(?:mailto:)?(?P<address>[\w.+-]{1,120}@[\w.-]{1,120})>")
_OPEN_MAIL = re.compile(r"<(?:mailto:)?[\w.+-]{1,120}@?[\w.-]{0,120}$")
_OPEN_TAG = re.compile(r"<(?:!-?-?|/?[A-Za-z][^<>\"']{0,500})?$")
_ELEMENT_NAMES = """
    a abbr address article aside b bdi bdo big blockquote body br button caption center cite code col colgroup dd del
    details dfn div dl dt em figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i img input ins
    kbd label li link main mark meta nav ol option p picture pre q rp rt ruby s samp script section select small
    source span strike strong style sub summary sup svg table tbody td textarea tfoot th thead time title tr tt u ul
    var video wbr
"""
_BREAK_NAMES = """
    address article aside blockquote br caption center dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header hr li
    main nav ol p section summary table tr ul
"""
_ELEMENTS, _BREAKS = frozenset(_ELEMENT_NAMES.split()), frozenset(_BREAK_NAMES.split())
_SKIPPED_ELEMENTS = frozenset({"script", "style", "svg", "head", "video"})
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_OPEN_ENTITY = re.compile(r"&(?:#[xX]?[0-9a-fA-F]{0,7}|[A-Za-z][A-Za-z0-9]{0,31})?$")
_FORMULA_OPENINGS = {"\\(": "\\)", "\\[": "\\]", "$$": "$$"}
_COMMAND = re.compile(r"\\(?:[dt]?frac\{[^{}\n]{0,60}\}\{[^{}\n]{0,60}\}|[A-Za-z]{1,20}(?:\{[^{}\n]{0,60}\})?)")
_OPEN_COMMAND = re.compile(r"\\[A-Za-z]{0,20}(?:\{[^{}\n]{0,60}(?:\}(?:\{[^{}\n]{0,60})?)?)?$")
_INLINE_FORMULA = re.compile(r"\$(?=[^\s\d$])(?P<formula>[^$\n]{1,80}?)(?<=\S)\$(?!\d)")
_OPEN_INLINE_FORMULA = re.compile(r"\$(?=[^\s\d$]|$)[^$\n]{0,80}\$?$")
_FORMULA_SIGN = re.compile(r"[\\^_={}+<>]|^\w$")
_EMPHASIS = re.compile(r"\*{1,80}|_{1,80}|~~{1,80}|`{1,80}")
_OPERAND_AFTER = re.compile(r"[\d(√$€£₹]|[A-Za-z](?![^\W_])")


class _Mode(Enum):
    TEXT = auto()
    # The rest of an address, of which the host was read.
    ADDRESS = auto()
    # The target of a link, of which the label was read.
    TARGET = auto()
    # The rest of a line that defines a link.
    LINE = auto()
    # The rest of a tag, of which the first attribute was begun.
    TAG = auto()
    # Code between fences.
    CODE = auto()
    # Behind a closing fence, which may be longer than the opening one.
    FENCE_END = auto()
    # The content of an element that is never spoken.
    ELEMENT = auto()
    COMMENT = auto()


class MarkupReader(Scanner):
    """Reads the markup of one reply. `code_phrase` is spoken in the place of a block of code; empty for nothing."""

    def __init__(self, code_phrase: str) -> None:
        super().__init__()
        self._code_phrase = code_phrase
        self._mode = _Mode.TEXT
        self._depth = 0
        self._fence = ""
        self._element = ""
        self._quote = ""
        self._mode_after_tag = _Mode.TEXT
        self._line_start = True
        self._in_table_row = False
        self._in_angle_brackets = False
        # The source since the last space, for addresses without a scheme.
        self._token = ""

    def _on_scanned(self, source: str) -> None:
        super()._on_scanned(source)
        if source:
            words = re.split(r"[\s(\[<>\"']", self._token + source)
            self._token = words[-1][-_MAX_TOKEN:]

    def _step(self, text: str, at: int, final: bool) -> Step:
        match self._mode:
            case _Mode.TEXT:
                return self._text_step(text, at, final)
            case _Mode.ADDRESS:
                return self._address_step(text, at, final)
            case _Mode.TARGET:
                return self._target_step(text, at, final)
            case _Mode.CODE:
                return self._skip_until(text, at, self._fence)
            case _Mode.COMMENT:
                return self._skip_until(text, at, "-->")
            case _Mode.FENCE_END:
                return self._fence_end_step(text, at, final)
            case _Mode.LINE:
                return self._line_step(text, at)
            case _Mode.TAG:
                return self._tag_step(text, at)
            case _Mode.ELEMENT:
                return self._element_step(text, at, final)

    # Text -----------------------------------------------------------------------------------------------------------

    def _text_step(self, text: str, at: int, final: bool) -> Step:
        if self._line_start:
            return self._line_start_step(text, at, final)
        character = text[at]
        if character.isalpha():
            return self._word_step(text, at, final)
        if character == "\n":
            self._line_start, self._in_table_row = True, False
            return at + 1, "\n"
        if control := _CONTROL.match(text, at):
            return control.end(), " "
        if character.isspace() or character.isdigit():
            return at + 1, character
        for read in self._READERS.get(character, ()):
            step = read(self, text, at, final)
            if step is None or step[0] > at:
                return step
        return self._sign_step(text, at)

    def _line_start_step(self, text: str, at: int, final: bool) -> Step:
        start = at
        while text[start : start + 1] in (" ", "\t"):
            start += 1
        if start == len(text) and not final:
            # Indentation.
            return None
        if start > at:
            # Indentation is not spoken.
            return start, ""
        if rule := _RULE.match(text, at):
            marks = rule[0].strip()
            if len(marks) >= 3 or not marks:
                return rule.end(), "" if marks else "\n"
        elif not final and _OPEN_RULE.match(text, at):
            return None
        elif final and len(text[at:].strip()) >= 3 and _OPEN_RULE.match(text, at):
            return len(text), ""
        if not final and _OPEN_LINE_MARK.match(text, at):
            return None
        if mark := _LINE_MARK.match(text, at):
            self._line_start = mark[0].startswith(">")
            return mark.end(), ""
        self._line_start = False
        if text[at] == "|":
            self._in_table_row = True
            return at + 1, ""
        if definition := _DEFINITION.match(text, at):
            self._mode = _Mode.LINE
            return definition.end(), ""
        if not final and _OPEN_DEFINITION.match(text, at):
            self._line_start = True
            return None
        return self._text_step(text, at, final)

    def _word_step(self, text: str, at: int, final: bool) -> Step:
        starts_word = not self._previous.isalnum()
        if starts_word and (address := _ADDRESS.match(text, at)):
            return self._host_step(text, at, address.end(), final)
        if starts_word and not final and may_become(text, at, _ADDRESSES):
            return None
        word = _WORD.match(text, at)
        return (word.end(), word[0]) if word else (at + 1, text[at])

    def _host_step(self, text: str, at: int, start: int, final: bool) -> Step:
        """Read the host of an address, without `www.` and user; the rest of the address is skipped."""
        if not final and _OPEN_USER.match(text, start):
            return None
        if user := _USER.match(text, start):
            start = user.end()
        host = _HOST.match(text, start)
        if host is None or (not final and _OPEN_HOST.match(text, start)):
            return None
        # A full stop at the end is the sentence's.
        name = host["host"].rstrip(".")
        self._mode = _Mode.ADDRESS
        return host.start() + len(name), name[4:] if name.lower().startswith("www.") else name

    def _address_step(self, text: str, at: int, final: bool) -> Step:
        """Skip the rest of an address, but for the marks of the sentence behind it."""
        found = _ADDRESS_END.search(text, at)
        end = found.start() if found else len(text)
        kept = end
        while kept > at and text[kept - 1] in _SENTENCE_MARKS:
            kept -= 1
        if found is None and not final:
            # Marks at the end of the text may belong to the address.
            return (kept, "") if kept > at else None
        self._mode = _Mode.TEXT
        if self._in_angle_brackets and found and found[0] == ">":
            kept = found.end()
        self._in_angle_brackets = False
        return (kept, "") if kept > at else self._text_step(text, at, final)

    def _slash(self, text: str, at: int, final: bool) -> Step:
        """Skip the path of an address without a scheme: `example.org/page`."""
        del final
        if _BARE_HOST.fullmatch(self._token):
            self._mode = _Mode.ADDRESS
            return at + 1, ""
        return at, ""

    # Code -----------------------------------------------------------------------------------------------------------

    def _backtick(self, text: str, at: int, final: bool) -> Step:
        fence = _FENCE.match(text, at)
        run = re.compile(r"[`~]+").match(text, at)
        if run is not None and run.end() == len(text) and not final and len(run[0]) < 16:
            return None
        if fence is not None:
            self._mode, self._fence = _Mode.CODE, fence[0]
            return fence.end(), self._spoken_code()
        if not final and _OPEN_CODE.match(text, at):
            return None
        if code := _CODE.match(text, at):
            return code.end(), code[2].strip() or " "
        return at, ""

    def _spoken_code(self) -> str:
        return f"\n{self._code_phrase}\n" if self._code_phrase else "\n"

    def _line_step(self, text: str, at: int) -> Step:
        end = text.find("\n", at)
        if end < 0:
            return len(text), ""
        self._mode, self._line_start = _Mode.TEXT, True
        return end + 1, "\n"

    def _skip_until(self, text: str, at: int, end: str) -> Step:
        found = text.find(end, at)
        if found < 0:
            kept = max(at, len(text) - len(end) + 1)
            return (kept, "") if kept > at else None
        self._mode = _Mode.FENCE_END if self._mode is _Mode.CODE else _Mode.TEXT
        return found + len(end), ""

    def _fence_end_step(self, text: str, at: int, final: bool) -> Step:
        if text[at] == self._fence[0]:
            return at + 1, ""
        self._mode = _Mode.TEXT
        return self._text_step(text, at, final)

    def _element_step(self, text: str, at: int, final: bool) -> Step:
        del final
        end = f"</{self._element}>"
        found = text.lower().find(end, at)
        if found < 0:
            kept = max(at, len(text) - len(end) + 1)
            return (kept, "") if kept > at else None
        self._mode = _Mode.TEXT
        return found + len(end), " "

    # Links and citations --------------------------------------------------------------------------------------------

    def _bracket(self, text: str, at: int, final: bool) -> Step:
        if speaker := _SPEAKER.match(text, at):
            return speaker.end(), speaker[0]
        start = at + (text[at] == "!")
        if text[start : start + 1] != "[":
            waits = not final and start == len(text) and (self._previous.isspace() or not self._previous)
            return None if waits else (at, "")
        if not final and len(text) - at <= _MAX_LABEL and _OPEN_LINK.match(text, at):
            return None
        if citation := _CITATION.match(text, at):
            return citation.end(), REMOVED
        is_image = text[at] == "!"
        if is_image and not (self._previous.isspace() or not self._previous):
            # An exclamation mark, then a link.
            return at, ""
        if (link := _LINK.match(text, at)) and link.end() - at < _MAX_LABEL:
            self._mode, self._depth = _Mode.TARGET, 0
            # The label is text: an address in it is read like any other.
            label = MarkupReader("")
            spoken = label.push_text(f" {link['label']}") + label.end_text()
            return link.end(), spoken.strip()
        return at, ""

    def _target_step(self, text: str, at: int, final: bool) -> Step:
        """Skip the target of a link, however long, up to its closing bracket."""
        del final
        for place in range(at, len(text)):
            character = text[place]
            if character in "([":
                self._depth += 1
            elif character in ")]":
                self._depth -= 1
                if not self._depth:
                    self._mode = _Mode.TEXT
                    return place + 1, ""
            elif character == "\n":
                self._mode = _Mode.TEXT
                return (place, "") if place > at else self._text_step(text, at, False)
        return len(text), ""

    # HTML -----------------------------------------------------------------------------------------------------------

    def _less_than(self, text: str, at: int, final: bool) -> Step:
        if text.startswith("<!--", at):
            self._mode = _Mode.COMMENT
            return at + 4, ""
        if _ADDRESS.match(text, at + 1):
            self._in_angle_brackets = True
            return at + 1, ""
        if mail := _AUTOLINK.match(text, at):
            return mail.end(), mail["address"]
        tag = _TAG.match(text, at) or _TAG_START.match(text, at)
        if tag and tag["name"].lower() in _ELEMENTS:
            return self._read_tag(tag)
        if not final and (may_become(text, at + 1, _ADDRESSES) or _OPEN_TAG.match(text, at)):
            name = re.compile(r"</?([A-Za-z][A-Za-z0-9]*)").match(text, at)
            if name is None or name.end() == len(text) or name[1].lower() in _ELEMENTS:
                return None
        if not final and _OPEN_MAIL.match(text, at):
            return None
        return at, ""

    def _read_tag(self, tag: re.Match[str]) -> Step:
        name, ends = tag["name"].lower(), bool(tag["end"])
        output, mode = "", _Mode.TEXT
        if name == "pre" and not ends:
            mode, output = _Mode.ELEMENT, self._spoken_code()
        elif name in _SKIPPED_ELEMENTS and not ends and not tag[0].endswith("/>"):
            mode, output = _Mode.ELEMENT, " "
        elif name in ("td", "th"):
            output = ", " if ends else ""
        elif name == "sup" and not ends and self._previous.isalnum():
            output = "^"
        elif name in _BREAKS:
            self._line_start, output = True, "\n"
        self._element = name
        self._mode = self._mode_after_tag = mode
        if tag.re is _TAG_START:
            self._mode, self._quote = _Mode.TAG, tag["quote"]
        return tag.end(), output

    def _tag_step(self, text: str, at: int) -> Step:
        """Skip the attributes of a tag."""
        for place in range(at, len(text)):
            character = text[place]
            if self._quote:
                self._quote = "" if character == self._quote else self._quote
            elif character in "\"'":
                self._quote = character
            elif character == ">":
                self._mode = self._mode_after_tag
                return place + 1, ""
        return len(text), ""

    def _ampersand(self, text: str, at: int, final: bool) -> Step:
        if entity := _ENTITY.match(text, at):
            character = html.unescape(entity[0])
            if character != entity[0]:
                return entity.end(), " " if character.isspace() or not character.isprintable() else character
        elif not final and _OPEN_ENTITY.match(text, at):
            return None
        return at, ""

    # Formulae and escapes -------------------------------------------------------------------------------------------

    def _backslash(self, text: str, at: int, final: bool) -> Step:
        following = text[at + 1 : at + 2]
        if not following:
            return (at + 1, "\\") if final else None
        if text[at : at + 2] in _FORMULA_OPENINGS:
            return self._formula(text, at, final)
        if not final and _OPEN_COMMAND.match(text, at):
            return None
        if command := _COMMAND.match(text, at):
            return command.end(), f" {read_formula(command[0])} "
        # An escaped mark of Markdown.
        return (at + 2, following) if following in "\\`*_{}[]()#+-.!|~<>$&%" else (at, "")

    def _dollar(self, text: str, at: int, final: bool) -> Step:
        if at + 1 == len(text):
            return (at, "") if final else None
        if text.startswith("$$", at):
            return self._formula(text, at, final)
        formula = _INLINE_FORMULA.match(text, at)
        if formula and formula.end() == len(text) and not final:
            return None
        if formula and _FORMULA_SIGN.search(formula["formula"]):
            return formula.end(), read_formula(formula["formula"])
        if not formula and not final and _OPEN_INLINE_FORMULA.match(text, at):
            return None
        return at, ""

    def _formula(self, text: str, at: int, final: bool) -> Step:
        closing = _FORMULA_OPENINGS[text[at : at + 2]]
        found = text.find(closing, at + 2, at + _MAX_FORMULA)
        if found >= 0:
            return found + 2, read_formula(text[at + 2 : found])
        if not final and len(text) - at < _MAX_FORMULA:
            return None
        return at + 2, ""

    # Signs ----------------------------------------------------------------------------------------------------------

    def _emphasis(self, text: str, at: int, final: bool) -> Step:
        run = _EMPHASIS.match(text, at)
        if run is None:
            return at, ""
        if run.end() >= len(text) - 1 and not final:
            return None
        before, after = self._previous, text[run.end() : run.end() + 1]
        is_factor = _is_operand_before(self._token) and _OPERAND_AFTER.match(text, run.end())
        is_alone = (before.isspace() or not before) and after.isspace()
        if run[0][0] == "*" and ((is_factor and len(run[0]) <= 2) or is_alone):
            # For the reader of sums.
            return run.end(), run[0]
        return run.end(), " " if run[0][0] == "_" and before.isalnum() and after.isalnum() else ""

    def _table_bar(self, text: str, at: int, final: bool) -> Step:
        if not self._in_table_row:
            return at + 1, " "
        end = at + 1
        while text[end : end + 1] in (" ", "\t"):
            end += 1
        if end == len(text) and not final:
            return None
        is_last = end == len(text) or text[end] == "\n"
        return (end, "") if is_last else (end, f"{REMOVED}, ")

    def _citation_bracket(self, text: str, at: int, final: bool) -> Step:
        if citation := _CITATION.match(text, at):
            return citation.end(), REMOVED
        waits = not final and "】" not in text[at:] and len(text) - at <= _MAX_CITATION
        return None if waits else (at, "")

    def _sign_step(self, text: str, at: int) -> Step:
        if found := _PICTOGRAPHS.match(text, at):
            return found.end(), f" {REMOVED}"
        if found := _UNSEEN.match(text, at):
            return found.end(), ""
        if text[at] == "\u200d" and _PICTOGRAPHS.match(self._previous or " "):
            return at + 1, ""
        return at + 1, text[at]

    # What reads each sign; a step that ends where it began leaves it to the next. Of the class: methods of an object
    # that it holds itself keep it from being freed.
    _READERS: ClassVar[Mapping[str, tuple[Callable[[Any, str, int, bool], Step], ...]]] = {
        "`": (_backtick, _emphasis),
        "~": (_backtick, _emphasis),
        "*": (_emphasis,),
        "_": (_emphasis,),
        "/": (_slash,),
        "[": (_bracket,),
        "!": (_bracket,),
        "<": (_less_than,),
        "&": (_ampersand,),
        "\\": (_backslash,),
        "$": (_dollar,),
        "|": (_table_bar,),
        "【": (_citation_bracket,),
    }


def _is_operand_before(token: str) -> bool:
    """Whether the source before an asterisk ends with a number, a bracket or a single letter."""
    return bool(re.search(r"(?:\d|\)|(?<![^\W_])[A-Za-z])$", token))
