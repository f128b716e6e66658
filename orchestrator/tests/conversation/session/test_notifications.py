"""Messages that a session sends without a request."""

from __future__ import annotations

from client_codec import server_from_json, server_from_proto
from orchestrator.api.wire import codec
from orchestrator.conversation.messages import server as messages
from orchestrator.conversation.messages.server import Word
from orchestrator.conversation.model.events import AnnounceFinal
from orchestrator.conversation.session.notifications import transcript_message

WORDS = (Word("what", 100, 300, 0.5), Word("is", 300, 600))


def test_word_times_are_sent_on_request() -> None:
    final = AnnounceFinal(1, 1, "what is", "en", None, WORDS)
    sent = transcript_message(final, word_times=True)
    assert sent == messages.FinalTranscript(1, 1, "what is", "en", None, WORDS)
    assert server_from_json(codec.server_to_json(sent)) == sent
    assert server_from_proto(codec.server_to_proto(sent)) == sent
    assert transcript_message(final, word_times=False) == messages.FinalTranscript(1, 1, "what is", "en")
