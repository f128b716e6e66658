"""Send a recording in any common container by POST /interact: python examples/ask.py question.ogg

Prints the transcript and the reply, and writes the reply's speech to reply.wav. Needs `httpx`.
"""
# ruff: noqa: T201

import os
import sys
from pathlib import Path
from urllib.parse import unquote

import httpx

URL = os.environ.get("ANCHOR_URL", "http://127.0.0.1:8080")
HEADERS = {"Authorization": f"Bearer {os.environ['SHARED_SECRET']}"} if "SHARED_SECRET" in os.environ else {}


def main(path: str) -> int:
    files = {"file": (Path(path).name, Path(path).read_bytes())}
    answer = httpx.post(f"{URL}/interact", files=files, headers=HEADERS, timeout=130)
    if answer.is_error:
        print(answer.json()["error"], file=sys.stderr)
        return 1
    print("you:   ", unquote(answer.headers["X-Anchor-Transcript"]))
    print("anchor:", unquote(answer.headers["X-Anchor-Reply"]))
    Path("reply.wav").write_bytes(answer.content)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
