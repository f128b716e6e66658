"""The script file of the scripted engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field
from service_kit.engines.script import Fault, ScriptSection, load_section
from service_kit.errors import InvalidRequest


class Replies(ScriptSection):
    replies: tuple[str, ...] = ("Good evening.",)
    first_token_delay_ms: float = Field(default=150, ge=0)


def written(folder: Path, text: str) -> Path:
    path = folder / "script.toml"
    path.write_text(text)
    return path


def test_a_section_is_read_without_the_others(tmp_path: Path) -> None:
    path = written(tmp_path, '[stt]\nfinal_delay_ms = 5\n[llm]\nreplies = ["Yes."]\nfault = "hang"\nfault_at = 2\n')
    section = load_section(path, "llm", Replies)
    assert section.replies == ("Yes.",)
    assert section.first_token_delay_ms == 150
    assert [section.fault_of(number) for number in (1, 2, 3)] == [None, Fault.HANG, None]


def test_missing_keys_have_defaults(tmp_path: Path) -> None:
    assert load_section(None, "llm", Replies) == Replies()
    assert load_section(written(tmp_path, "[tts]\n"), "llm", Replies) == Replies()
    assert Replies().fault_of(1) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[llm]\nrepleis = []\n", "repleis"),
        ("[lmm]\n", "lmm"),
        ('[llm]\nfault = "sulk"\n', "fault"),
        ("[llm]\nfault_at = 0\n", "fault_at"),
        ("[llm\n", "script.toml"),
    ],
)
def test_an_invalid_script_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as refusal:
        load_section(written(tmp_path, text), "llm", Replies)
    assert refusal.value.code == "script.invalid"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"absent\.toml"):
        load_section(tmp_path / "absent.toml", "llm", Replies)
