"""The conversation: turn-taking, replies and history, without any I/O library.

The path of one turn, from a microphone frame to playout:

 1. `SpeechInput.push_audio` (input) cuts client audio into chunks on the audio clock, for VAD and speech-to-text.
 2. `SpeechInput._read_vad` and `_read_transcripts` put speech edges, predictions and transcripts on the `EventQueue`.
 3. `Session._converse` (session) takes the next event and hands it to the policy.
 4. `TurnTaking.handle` (turns) returns actions: sans-I/O, without a clock. It waits by `Endpointing.wait`, speculates,
    and detects barge-in.
 5. `Session._perform_action` performs them, one at a time.
 6. `ActiveReply.start` (output) starts a reply, unreleased, often before the turn is committed.
 7. `Reply._generate_text` reads the language model's text.
 8. `ReplySynthesis._flush_text` flushes text to TTS at the pace of playback (`TextPacer`), and fails over.
 9. `Playout.append_audio` buffers speech; `Playout.release`, at the commit, sends it, paced, to the `Outbox`.
10. `ActiveReply.on_playback_progress` counts what the client heard; `History.add_heard_reply` keeps those words.

Cancelling the reply's task is the barge-in. Speech that began before step 10 counted anything reopens the turn
(`TurnTaking._continue_answered_turn`): back to step 4, and the reply is withdrawn (`ActiveReply.discard`).

Layers, from the last stage to the first, which an import contract holds:
`session`, `input | output | turns`, `echo | connection`, `observability`, `model`, `messages`.
"""
