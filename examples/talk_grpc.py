"""Send a question as text over gRPC: python examples/talk_grpc.py "what is on tonight"

Prints the reply and writes its speech to reply.wav. Needs `grpcio` and the package in proto/.
"""
# ruff: noqa: T201

import asyncio
import os
import sys
import wave

from anchor.session.v1 import session_pb2 as pb
from anchor.session.v1 import session_pb2_grpc
from grpc import aio

TARGET = os.environ.get("ANCHOR_TARGET", "127.0.0.1:9080")
SECRET = os.environ.get("SHARED_SECRET")
METADATA = (("authorization", f"Bearer {SECRET}"),) if SECRET else None


async def main(question: str) -> int:
    speech, turn_id, finished = bytearray(), 0, False
    async with aio.insecure_channel(TARGET) as channel:
        call = session_pb2_grpc.SessionServiceStub(channel).Converse(metadata=METADATA)

        async def send(**message: object) -> None:
            await call.write(pb.ConverseRequest(message=pb.ClientMessage(**message)))

        await send(session_start=pb.SessionStart(reports_playback=True))
        await send(text_input=pb.TextInput(text=question))
        async for response in call:
            event = response.message
            match event.WhichOneof("message"):
                case "reply_text":
                    print(event.reply_text.text, end="", flush=True)
                case "reply_audio":
                    turn_id = event.reply_audio.turn_id
                case "anchor_audio":
                    speech += event.anchor_audio.pcm
                    await send(playback_progress=pb.PlaybackProgress(turn_id=turn_id, played_ms=len(speech) // 48))
                case "error" | "turn_failed" as kind:
                    print(f"\n{getattr(event, kind).code}: {getattr(event, kind).message}", file=sys.stderr)
                case "reply_finished":
                    finished = True
            if event.WhichOneof("message") in ("reply_finished", "turn_failed"):
                # Half-close; the server then sends session_ended and closes its side.
                await call.done_writing()
    print()
    with wave.open("reply.wav", "wb") as reply:
        reply.setparams((1, 2, 24_000, 0, "NONE", ""))
        reply.writeframes(speech)
    return 0 if finished else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(sys.argv[1])))
