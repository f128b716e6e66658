"""Formats of a one-shot answer: JSON fields, text frames of the simple WebSocket, and response headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from orchestrator.api.streaming.one_shot import OneShotAnswer
from orchestrator.api.wire import codec

# Per header; proxies and clients commonly accept 8 KiB of headers in total.
_MAX_HEADER_CHARS = 3_000


def to_json_fields(answer: OneShotAnswer) -> dict[str, Any]:
    """Return an answer's fields as JSON values, without its audio; `waterfall` and `failure` only when present."""
    fields: dict[str, Any] = {
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
        fields["waterfall"] = codec.as_fields(answer.waterfall)
    if answer.failure is not None:
        fields["failure"] = codec.as_fields(answer.failure)
    return fields


def to_text_frame(name: str, fields: Mapping[str, Any]) -> str:
    """Return a text frame of the simple WebSocket."""
    return json.dumps({"type": name, **fields})


def to_headers(answer: OneShotAnswer) -> dict[str, str]:
    """Return the headers of an audio response: texts in percent-encoded UTF-8, truncated with an ellipsis."""
    headers = {
        "X-Anchor-Transcript": percent_encode(answer.transcript),
        "X-Anchor-Reply": percent_encode(answer.reply),
        "X-Anchor-Ticket": quote(answer.ticket, safe=""),
        "X-Anchor-Language": quote(answer.language, safe=""),
        "X-Anchor-Turn": str(answer.turn_id),
    }
    if answer.failure is not None:
        headers["X-Anchor-Failure"] = quote(answer.failure.code, safe="")
    return headers


def percent_encode(text: str) -> str:
    """Percent-encode `text`; truncate it with an ellipsis when it exceeds the maximum length of a header."""
    encoded = [quote(char, safe="", errors="replace") for char in text[:_MAX_HEADER_CHARS]]
    if sum(map(len, encoded)) <= _MAX_HEADER_CHARS and len(text) <= _MAX_HEADER_CHARS:
        return "".join(encoded)
    ellipsis = quote("…")
    budget = _MAX_HEADER_CHARS - len(ellipsis)
    kept: list[str] = []
    for char in encoded:
        budget -= len(char)
        if budget < 0:
            break
        kept.append(char)
    return "".join(kept) + ellipsis
