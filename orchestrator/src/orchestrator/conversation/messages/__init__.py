# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""A conversation with the anchor: the only contract for clients.

Over gRPC these messages travel as they are. On the WebSocket each is one JSON text frame: the fields of the `oneof`
member, with the member's name as `type` (`{"type":"speech_started","at_ms":1200}`), and audio travels in binary
frames of its own, without a header: PCM up at the rate the client declared, PCM down at 24 kHz.

A client that comes back in mid-turn is told again what it may lack: `reply_started` for a turn replaces all that was
known of its reply, every other message what was known of its kind and turn; a `speech_mark` is known by
`text_start`.

`_ms` fields named `at_ms`, `start_ms` and `end_ms` are on the audio clock, which counts from the session's first
microphone sample; `offset_ms`, `played_ms` and `heard_ms` count from the first sample of a reply.
"""
