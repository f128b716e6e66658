"""Stream a recorded question over the native WebSocket: python examples/talk.py question.wav

Prints the transcript and the reply, and writes the reply's speech to reply.wav. Needs `websockets`.
"""
# ruff: noqa: T201

import asyncio
import json
import os
import sys
import wave

from websockets.asyncio.client import connect

URL = os.environ.get("ANCHOR_URL", "ws://127.0.0.1:8080/ws/audio")
HEADERS = {"Authorization": f"Bearer {os.environ['SHARED_SECRET']}"} if "SHARED_SECRET" in os.environ else {}


async def main(path: str) -> int:
    with wave.open(path) as question:
        if (question.getnchannels(), question.getsampwidth()) != (1, 2):
            sys.exit("the question must be a 16-bit mono WAV")
        rate_hz, pcm = question.getframerate(), question.readframes(question.getnframes())
    speech, turn_id, done = bytearray(), 0, {"reply_finished", "turn_failed", "session_ended"}
    async with connect(URL, additional_headers=HEADERS, compression=None) as anchor:

        async def send(kind: str, **fields: object) -> None:
            await anchor.send(json.dumps({"type": kind, **fields}))

        manual = "TURN_DETECTION_MANUAL"
        await send("session_start", sample_rate_hz=rate_hz, turn_detection=manual, reports_playback=True)
        for start in range(0, len(pcm), 3200):
            await anchor.send(pcm[start : start + 3200])
        await send("end_turn")
        event = {"type": ""}
        while event["type"] not in done:
            frame = await anchor.recv()
            if isinstance(frame, bytes):
                speech += frame
                # Audio written to a file counts as played; a real player reports its position.
                await send("playback_progress", turn_id=turn_id, played_ms=len(speech) // 48)
                continue
            event = json.loads(frame)
            match event["type"]:
                case "turn_committed":
                    print("you:   ", event["text"])
                case "reply_audio":
                    turn_id = event["turn_id"]
                case "reply_text":
                    print(event["text"], end="", flush=True)
                case "error" | "turn_failed" | "session_ended":
                    print(f"\n{event['code']}: {event['message']}", file=sys.stderr)
    print()
    with wave.open("reply.wav", "wb") as reply:
        reply.setparams((1, 2, 24_000, 0, "NONE", ""))
        reply.writeframes(speech)
    return 0 if event["type"] == "reply_finished" else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1])))
