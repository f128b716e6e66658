"""Invalid settings in words: their variables, and never their values."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from service_kit.setting_problems import describe_setting_problems, setting_problems_line
from service_kit.settings import ServiceSettings, shared


class PianoSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PIANO_", populate_by_name=True)

    keys: int = Field(default=88, ge=1)
    tuners: tuple[str, ...] = ()
    pedal: int = Field(default=3, validation_alias=shared("PEDAL", "SUSTAIN"))
    code: SecretStr = Field(default=SecretStr("a long secret"), min_length=8)


def problems_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, str]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((ValidationError, SettingsError)) as raised:
        PianoSettings()
    line = setting_problems_line(raised.value)
    assert "\n" not in line
    assert not [value for value in environment.values() if value in line]
    return describe_setting_problems(raised.value)


def test_a_problem_has_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems_of(monkeypatch, PIANO_KEYS="banana", PIANO_CODE="hush")
    assert "valid integer" in found.pop("PIANO_KEYS")
    assert "at least 8" in found.pop("PIANO_CODE")
    assert found == {}


def test_the_name_is_the_one_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(problems_of(monkeypatch, SUSTAIN="often")) == ["SUSTAIN"]


def test_a_list_that_is_no_json_says_how_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_of(monkeypatch, PIANO_TUNERS="Ann, Bob") == {
        "PIANO_TUNERS": 'a list is written as JSON: ["a", "b"]'
    }


def test_other_data_are_named_by_class_and_field() -> None:
    class Score(BaseModel):
        bars: list[int]

    with pytest.raises(ValidationError) as raised:
        Score(bars=["x"])  # type: ignore[list-item]
    assert list(describe_setting_problems(raised.value)) == ["Score.bars.0"]


@pytest.mark.parametrize(
    "url", ["gpu:11434", "http://", "http://me:hu/sh@gpu", "ftp://gpu", "http://gpu:99999", "http://g pu", "http://a\n"]
)
def test_an_address_that_is_no_url_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    with pytest.raises(ValidationError) as raised:
        ServiceSettings(grpc_port=0, http_port=0)
    line = setting_problems_line(raised.value)
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: ")
    assert url not in line.replace("http://host:8000", "")


@pytest.mark.parametrize("url", ["", "http://gpu:11434", "https://me:hush%2F@gpu/v1", "http://[::1]:8000"])
def test_addresses_of_servers_are_taken_as_they_are(url: str) -> None:
    assert ServiceSettings(grpc_port=0, http_port=0, otlp_endpoint=url).otlp_endpoint == url


SERVICE = """
from service_kit.service import main
from service_kit.settings import ServiceSettings
main(lambda: ServiceSettings(grpc_port=0, http_port=0))
"""


@pytest.mark.parametrize(
    ("name", "value"), [("ANCHOR_DRAIN_S", "banana"), ("ANCHOR_PROFILE", "quantum"), ("ANCHOR_MULTIPLEX", "perhaps")]
)
def test_a_service_ends_with_one_line(name: str, value: str) -> None:
    command = [sys.executable, "-c", SERVICE]
    ended = subprocess.run(
        command, env={**os.environ, name: value}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"service could not start: {name}: ")
    assert ".env.example" in line
    assert value not in line.partition(name)[2]
