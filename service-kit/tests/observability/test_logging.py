"""Log lines: one for each record, whatever is in it."""

from __future__ import annotations

import json
import logging

import pytest
from service_kit.observability.logging import JsonFormatter, TextFormatter

FORGED = "x\n12:00:00.000 INFO    orchestrator  service ready\x1b[2J\x9b2J\u2028\u202e\ud800"


def record_of(message: str, **fields: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": "test", "levelname": "WARNING", "levelno": logging.WARNING, "msg": message})
    record.__dict__.update(fields)
    return record


@pytest.mark.parametrize("formatter", [TextFormatter("orchestrator"), JsonFormatter("orchestrator")])
@pytest.mark.parametrize("fields", [{"reason": FORGED}, {FORGED: 1}, {"words": [FORGED]}])
def test_fields_and_their_names_cannot_forge_a_line(formatter: logging.Formatter, fields: dict[str, object]) -> None:
    line = formatter.format(record_of(f"a message {FORGED}", **fields))
    assert line.isprintable()
    assert line.encode()


def test_json_keeps_what_it_escapes() -> None:
    line = JsonFormatter("orchestrator").format(record_of("refused", reason=FORGED))
    assert json.loads(line)["reason"] == FORGED


def test_text_quotes_a_value_that_would_read_as_another_field() -> None:
    line = TextFormatter("orchestrator").format(record_of("refused", reason="no level=ERROR", code="a.b", empty=""))
    assert line.endswith('refused reason="no level=ERROR" code=a.b empty=""')


def test_an_exception_in_text_cannot_forge_a_line() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        record = record_of("broke", exc_info=(ValueError, error, error.__traceback__))
    first, *others = TextFormatter("orchestrator").format(record).split("\n")
    assert first.endswith("broke")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)


@pytest.mark.parametrize("formatter", [TextFormatter("orchestrator"), JsonFormatter("orchestrator")])
def test_credentials_of_urls_are_hidden_in_every_part(formatter: logging.Formatter) -> None:
    url = "http://me:" + "hush@gpu:11434"
    try:
        raise ValueError(url)
    except ValueError as error:
        record = record_of(f"no server at {url}", url=url, exc_info=(ValueError, error, error.__traceback__))
    line = formatter.format(record)
    assert url not in line
    assert line.count("http://***@gpu:11434") == 3
