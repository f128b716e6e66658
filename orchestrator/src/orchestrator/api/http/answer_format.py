"""How the doors for recordings describe an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orchestrator.api.streaming.one_shot import Answer
from orchestrator.api.wire import codec

# Proxies and clients commonly take 8 KiB of headers in all.
_MOST_HEADER_CHARS = 3_000


def describe(answer: Answer) -> dict[str, Any]:
    """The fields of an answer as JSON values, without its audio; absent ones are left out."""
    details: dict[str, Any] = {
        "ticket": answer.ticket,
        "turn_id": answer.turn_id,
        "transcript": answer.transcript,
        "reply": answer.reply,
        "language": answer.language,
        "engine": answer.engine,
        "duration_ms": answer.duration_ms,
        "interrupted": answer.interrupted,
    }
    if answer.waterfall is not None:
        details["waterfall"] = codec.as_fields(answer.waterfall)
    if answer.failure is not None:
        details["failure"] = codec.as_fields(answer.failure)
    return details


def to_frame(name: str, details: Mapping[str, Any]) -> str:
    """A text frame of the simple door."""
    return json.dumps({"type": name, **details})


def to_headers(answer: Answer) -> dict[str, str]:
    """What fits beside audio: percent-encoded UTF-8, cut with an ellipsis where it is too long."""
    headers = {
        "X-Anchor-Transcript": header_text(answer.transcript),
        "X-Anchor-Reply": header_text(answer.reply),
        "X-Anchor-Ticket": quote(answer.ticket, safe=""),
        "X-Anchor-Language": quote(answer.language, safe=""),
        "X-Anchor-Turn": str(answer.turn_id),
    }
    if answer.failure is not None:
        headers["X-Anchor-Failure"] = quote(answer.failure.code, safe="")
    return headers


def header_text(text: str) -> str:
    """`text` percent-encoded, with a final ellipsis when some of it had to be left out."""
    encoded = [quote(char, safe="", errors="replace") for char in text[:_MOST_HEADER_CHARS]]
    if sum(map(len, encoded)) <= _MOST_HEADER_CHARS and len(text) <= _MOST_HEADER_CHARS:
        return "".join(encoded)
    ellipsis = quote("…")
    left = _MOST_HEADER_CHARS - len(ellipsis)
    kept: list[str] = []
    for piece in encoded:
        left -= len(piece)
        if left < 0:
            break
        kept.append(piece)
    return "".join(kept) + ellipsis
