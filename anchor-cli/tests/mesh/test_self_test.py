"""The self-test turn, and the comparison of its transcript with what the recording says."""

from __future__ import annotations

from pathlib import Path

import pytest
from anchor_cli.client.waterfall import render_turn
from anchor_cli.mesh.self_test import compare_words, run_self_test, spoken_text
from anchor_cli.settings import MeshSettings
from pydantic import SecretStr
from service_kit.errors import PeerFailed, root_cause

SECRET = "correct horse"  # noqa: S105
QUESTIONS = Path(__file__).parents[3] / "content/questions"


async def test_missing_waterfall_is_reported(anchor, console, question_wav, tmp_path) -> None:
    async with anchor(waterfall=False) as double:
        turn = await run_self_test(MeshSettings(orchestrator_http_port=double.port, self_test_wav=question_wav))
    console.print(render_turn(turn))
    assert "sent no waterfall" in console.export_text()


@pytest.mark.parametrize(
    ("options", "words"), [({"behaviour": "fail"}, "llm.gone: no language model"), ({"heard": ""}, "no words")]
)
async def test_failed_self_test_states_the_reason(anchor, question_wav, options, words: str) -> None:
    async with anchor(**options) as double:
        settings = MeshSettings(orchestrator_http_port=double.port, self_test_wav=question_wav)
        with pytest.raises(PeerFailed, match=words) as raised:
            await run_self_test(settings)
    assert raised.value.code == "mesh.self_test_failed"


async def test_self_test_sends_the_shared_secret(anchor, question_wav) -> None:
    async with anchor(secret=SECRET) as double:
        settings = MeshSettings(
            orchestrator_http_port=double.port, self_test_wav=question_wav, shared_secret=SecretStr(SECRET)
        )
        turn = await run_self_test(settings)
        assert turn.transcript == double.heard
        with pytest.raises(PeerFailed, match="set SHARED_SECRET"):
            await run_self_test(settings.model_copy(update={"shared_secret": SecretStr("")}))


async def test_self_test_without_recording_names_the_file(tmp_path) -> None:
    with pytest.raises(Exception, match=r"missing\.wav") as raised:
        await run_self_test(MeshSettings(self_test_wav=tmp_path / "missing.wav"))
    assert "sound.unreadable" in str(root_cause(raised.value))


def test_recording_of_the_self_test_is_listed_with_its_text() -> None:
    assert spoken_text(QUESTIONS / MeshSettings().self_test_wav.name) == "How is the weather looking for the weekend?"


def test_text_of_an_unlisted_recording_is_unknown(tmp_path: Path) -> None:
    assert spoken_text(QUESTIONS / "other.wav") == ""
    assert spoken_text(tmp_path / "other.wav") == ""
    (tmp_path / "questions.toml").write_text("question = 3")
    assert spoken_text(tmp_path / "other.wav") == ""
    (tmp_path / "questions.toml").write_text("question = [")
    assert spoken_text(tmp_path / "other.wav") == ""
    assert not compare_words("", "anything")


@pytest.mark.parametrize("transcript", ["how is  the weather", "How's the weather?", "How\u2019s the weather."])
def test_equal_words_count_as_recognised_in_any_spelling(transcript: str) -> None:
    line = compare_words("How is the weather?", transcript).plain
    assert line == "said      How is the weather?  every word recognised"


def test_other_words_are_a_hint() -> None:
    line = compare_words("How is the weather?", "how was the weather").plain
    assert line.startswith("said      How is the weather?  recognised otherwise")
    assert "docs/engines.md" in line
