"""Text from elsewhere on its way to logs, error messages and health: without credentials and control characters."""

from __future__ import annotations

import re

# The user and password of a URL, up to the last @ of its authority.
_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#\"'<>\\]*@")
_HIDDEN = "***@"


def hide_credentials(text: str) -> str:
    """Return `text` with the user and password of every URL in it hidden."""
    return _CREDENTIALS.sub(_HIDDEN, text) if "@" in text else text


def escape_control(text: str) -> str:
    r"""Return `text` on one line that no terminal acts on: what is not printable becomes `\n`, `\x1b` or `\u202e`.

    Not printable are control characters (C0, C1), line and paragraph separators, and those that change the direction
    of text.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def escape_control_in_lines(text: str) -> str:
    """`escape_control` for a text of several lines: its line feeds stay."""
    return text if text.isprintable() else "\n".join(map(escape_control, text.split("\n")))
