"""Complete conversations: transcripts, replies and history."""

from __future__ import annotations

import itertools

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages

STORY = "Once upon a time there was a king who could not sleep at night."


async def test_question_and_answer_enter_history(stage):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        await stage.user("how is the weather")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "It is sunny."
    assert not finished.interrupted
    assert not finished.estimated
    assert stage.history == [("user", "how is the weather"), ("anchor", "It is sunny.")]


async def test_speculative_reply_starts_early_and_plays_after_the_commit(stage):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        await stage.ask("how is the weather")
        sent_at_ms = {type(message): at_ms for at_ms, message in reversed(stage.client.messages)}
        assert len(stage.llm.prompts) == 1
        await stage.until(server_messages.ReplyFinished)
    waterfall = stage.client.of_type(server_messages.LatencyWaterfall)[-1]
    assert waterfall.first_token_ms < waterfall.turn_committed_ms <= waterfall.first_frame_sent_ms
    assert sent_at_ms[server_messages.ReplyText] >= sent_at_ms[server_messages.TurnCommitted]
    # The endpointing wait hides the models: 450 ms for a predictor that says 0.5.
    assert waterfall.first_frame_sent_ms == pytest.approx(450, abs=35)


async def test_continued_speech_discards_the_speculative_reply(stage):
    stage.anchor_will_say("too early", "In Leipzig it is sunny.")
    async with stage:
        await stage.user("how is the weather")
        await stage.silence(300)
        assert len(stage.llm.prompts) == 1
        await stage.user("in Leipzig")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "In Leipzig it is sunny."
    assert stage.llm.closed == 2
    assert [prompt.text for prompt in stage.llm.prompts] == ["how is the weather", "how is the weather in Leipzig"]
    assert stage.history[0] == ("user", "how is the weather in Leipzig")
    assert len(stage.client.of_type(server_messages.TurnCommitted)) == 1


async def test_two_turns_in_quick_succession_stay_in_order(stage):
    stage.anchor_will_say("First.", "Second.")
    async with stage:
        await stage.user("one")
        await stage.until(server_messages.ReplyFinished)
        await stage.user("two")
        await stage.until(server_messages.ReplyFinished, 2)
    assert stage.history == [("user", "one"), ("anchor", "First."), ("user", "two"), ("anchor", "Second.")]


async def test_a_minute_of_silence_sends_no_message(stage):
    stage.anchor_will_say("never")
    async with stage:
        await stage.silence(60_000)
    assert [type(message) for _, message in stage.client.messages] == [
        server_messages.SessionStarted,
        server_messages.Choices,
        server_messages.SessionEnded,
    ]
    assert stage.stt.received_chunks == 0


async def test_long_sound_without_words_is_answered_with_did_not_catch(stage):
    stage.stt.recognises_nothing = True
    async with stage:
        await stage.user("mumble mumble mumble mumble")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Sorry, I did not catch that."
    assert not stage.llm.prompts


async def test_short_sound_without_words_is_ignored(stage):
    async with stage:
        await stage.noise(300)
        await stage.silence(3000)
    assert not stage.client.of_type(server_messages.ReplyStarted)


async def test_client_without_reports_gets_audio_just_in_time_and_an_estimate(stage):
    stage.reports_playback = False
    stage.anchor_will_say(STORY)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(600)
        assert stage.client.buffer_ms <= 260
        await stage.user("stop")
        finished = await stage.until(server_messages.ReplyFinished)
        assert finished.estimated
        assert finished.interrupted
        assert finished.heard_ms <= stage.client.played[finished.turn_id] + stage.client.buffer_ms + 1
        stage.anchor_will_say("Fine.")


async def test_audio_is_sent_at_most_two_seconds_ahead_of_playback(stage):
    stage.anchor_will_say(STORY + " " + STORY)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(300)
        assert 1500 <= stage.client.buffer_ms <= 2100
        await stage.until(server_messages.ReplyFinished, within_s=60)


async def test_a_turn_starts_at_most_three_speculative_replies(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        for word in ("one", "two", "three", "four", "five"):
            await stage.user(word)
            await stage.silence(330)
        await stage.until(server_messages.ReplyFinished)
    texts = [prompt.text for prompt in stage.llm.prompts]
    assert texts == ["one", "one two", "one two three", "one two three four five"]


async def test_typed_turn_is_answered_with_speech(stage):
    stage.anchor_will_say("Aloud.")
    async with stage:
        stage.command(client_messages.TextInput("hello"))
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == [("user", "hello"), ("anchor", "Aloud.")]


async def test_client_pauses_resumes_and_interrupts_by_command(stage):
    stage.anchor_will_say(STORY)
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(500)
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        before = stage.client.played[1]
        await stage.silence(2000)
        assert stage.client.played[1] == before
        stage.command(client_messages.Resume())
        await stage.until_played(1000)
        stage.command(client_messages.Interrupt())
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.interrupted
    assert 1000 <= finished.heard_ms <= 1300


async def test_preferences_apply_from_the_next_reply(stage):
    stage.anchor_will_say("Bien.")
    async with stage:
        stage.command(client_messages.SetLanguage("fr"))
        stage.command(client_messages.SetVoice("marie"))
        stage.command(client_messages.SetStyle(pace=1.5))
        await stage.until(server_messages.SessionUpdated, 3)
        stage.command(client_messages.TextInput("bonjour"))
        await stage.until(server_messages.ReplyFinished)
        stage.command(client_messages.SetLanguage("xx"))
        error = await stage.until(server_messages.Error)
    assert error.code == "session.unknown_language"
    assert stage.tts.opened_with == [("marie", "fr")]
    assert stage.stt.opened_with == ["en", "fr"]
    assert stage.llm.prompts[0].style.pace == 1.5


async def test_voice_is_reset_by_a_language_that_it_does_not_speak(stage):
    stage.voices.set(
        (
            server_messages.VoiceChoice("espeak:ann", "Ann", ("en", "de")),
            server_messages.VoiceChoice("pierre", "Pierre", ("fr",)),
        )
    )
    async with stage:
        stage.command(client_messages.SetVoice("ann"))
        stage.command(client_messages.SetLanguage("de"))
        speaks = await stage.until(server_messages.SessionUpdated, 2)
        stage.command(client_messages.SetLanguage("fr"))
        speaks_not = await stage.until(server_messages.SessionUpdated, 3)
    assert (speaks.language, speaks.voice) == ("de", "ann")
    assert (speaks_not.language, speaks_not.voice) == ("fr", "")


async def test_muted_microphone_counts_as_silence(stage):
    stage.anchor_will_say("Fine.")
    async with stage:
        await stage.user("how are you")
        await stage.mute()
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Fine."


async def test_push_to_talk_turn_is_answered_after_end_turn(stage):
    stage.manual = True
    stage.anchor_will_say("Fine.")
    async with stage:
        await stage.user("how are you")
        await stage.silence(1000)
        assert not stage.llm.prompts
        stage.command(client_messages.EndTurn())
        await stage.mute()
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == [("user", "how are you"), ("anchor", "Fine.")]


async def test_resumed_conversation_keeps_its_history(stage):
    stage.anchor_will_say("First.")
    async with stage:
        stage.command(client_messages.TextInput("one"))
        await stage.until(server_messages.ReplyFinished)
    stage._ended = False
    stage.anchor_will_say("Second.")
    async with stage:
        assert (await stage.until(server_messages.SessionStarted)).resumed
        stage.command(client_messages.TextInput("two"))
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.turn_id == 2
    assert [message.text for message in stage.llm.prompts[-1].history] == ["one", "First."]


async def test_reply_paused_near_its_end_plays_to_the_end(stage):
    stage.anchor_will_say(STORY)
    async with stage:
        stage.command(client_messages.TextInput("tell me a story"))
        await stage.until(server_messages.ReplyAudioEnded)
        stage.command(client_messages.Pause())
        await stage.until(server_messages.PlaybackPause)
        left_ms = stage.client.buffer_ms
        assert left_ms > 1000
        await stage.silence(20_000)
        stage.command(client_messages.Resume())
        await stage.until(server_messages.PlaybackResume)
        resumed_ms = stage.now_ms
        await stage.until(server_messages.ReplyFinished)
    assert stage.now_ms - resumed_ms >= left_ms - 100


async def test_a_ping_is_answered_with_its_number(stage):
    async with stage:
        stage.command(client_messages.Ping(7))
        assert (await stage.until(server_messages.Pong)).ping_id == 7


async def test_probability_of_speech_is_sent_to_who_subscribes_only(stage):
    async with stage:
        await stage.silence(1_000)
        assert stage.client.of_type(server_messages.SpeechActivity) == []
        stage.command(client_messages.SetSpeechActivity(enabled=True))
        await stage.silence(500)
        await stage.noise(300)
        await stage.silence(200)
        stage.command(client_messages.SetSpeechActivity(enabled=False))
        await stage.silence(100)
        sent = stage.client.of_type(server_messages.SpeechActivity)
        await stage.silence(1_000)
        assert stage.client.of_type(server_messages.SpeechActivity) == sent
    assert {message.probability for message in sent} == {0.1, 0.9}
    steps_ms = [later.at_ms - earlier.at_ms for earlier, later in itertools.pairwise(sent)]
    assert 6 <= len(steps_ms) <= 11
    assert min(steps_ms) >= 100


async def test_reconnect_ends_the_subscription_to_speech_activity(stage):
    async with stage:
        stage.command(client_messages.SetSpeechActivity(enabled=True))
        await stage.silence(500)
        assert stage.client.of_type(server_messages.SpeechActivity)
        await stage.disconnect()
        await stage.silence(200)
        stage.reconnect()
        await stage.silence(200)
        sent = len(stage.client.of_type(server_messages.SpeechActivity))
        await stage.silence(1_000)
        assert len(stage.client.of_type(server_messages.SpeechActivity)) == sent
