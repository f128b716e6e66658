# Generated from proto/anchor/session/v1/session.proto by `make proto`. Do not edit.
"""A conversation with the anchor: the client API.

Over gRPC these messages travel unchanged. On the WebSocket each message is one JSON text frame with the fields of
the `oneof` member and the member's name as `type` (`{"type":"speech_started","at_ms":1200}`). Audio travels in
separate binary frames without a header: PCM up at the rate that the client declares, PCM down at 24 kHz.

In JSON a client may omit every field of `session_start` and every `optional` field; all other fields are required,
and unknown fields are rejected. The server omits only absent `optional` fields. Enum values are sent by name.

When a client reconnects during a turn, the server replays the messages that the client may have missed.
`reply_started` replaces everything that the client knows about that turn's reply. Every other message replaces the
earlier message of the same kind and turn. `text_start` identifies a `speech_mark`.

`turn_id` numbers the turns of a conversation, from 1. Fields named `at_ms`, `start_ms` and `end_ms` are in
milliseconds on the audio clock, which counts from the session's first microphone sample. `offset_ms`, `played_ms`
and `heard_ms` are in milliseconds from the first sample of a reply.
"""
