"""When the microphone is searched for echo, and over which span."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.echo_detector import echo_span
from orchestrator.conversation.model.events import TimerFired
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript, SpeechStarted, SpeechStopped

NOW_MS = 5_000
STARTED = SpeechStarted(4_000, 3_700)
PARTIAL = PartialTranscript(1, "what is", 4_600, "en")
FINAL = FinalTranscript(1, 1, "what is the latest news", 4_900, "en")
TIMER = TimerFired(5_000)


@pytest.mark.parametrize(
    ("event", "listening_since_ms", "while_speaking", "while_silent"),
    [
        # The first speech of a turn, and speech that continues it.
        (STARTED, None, (4_000, NOW_MS), (4_000, NOW_MS)),
        (STARTED, 2_000, (2_000, NOW_MS), (2_000, NOW_MS)),
        (FINAL, 2_000, (2_000, 4_900), (2_000, 4_900)),
        # Nothing depends on the echo in these unless they come over a reply.
        (PARTIAL, 2_000, (2_000, NOW_MS), None),
        (TIMER, 2_000, (2_000, NOW_MS), None),
        # No turn is open.
        (PARTIAL, None, None, None),
        (FINAL, None, None, None),
        (TIMER, None, None, None),
        (SpeechStopped(4_800), 2_000, None, None),
    ],
)
def test_echo_is_searched_where_a_decision_depends_on_it(event, listening_since_ms, while_speaking, while_silent):
    spans = [echo_span(event, listening_since_ms, NOW_MS, anchor_speaks=speaks) for speaks in (True, False)]
    assert spans == [while_speaking, while_silent]
