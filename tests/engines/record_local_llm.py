"""Records the answers of llama.cpp's server for the orchestrator's tests: `record_local_llm.py URL FILE`.

Start the server first: `.venv/bin/python -m llm_service`. The orchestrator's tests replay the recorded bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

SYSTEM = "Notes on the ferry: A ticket costs four crowns.\n\nAnswer with one short sentence."
QUESTION = "What does it cost?"


def record(url: str) -> dict[str, dict[str, Any]]:
    """Return status, content type and body of each answer, by name."""
    chat = {
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}],
        "stream": True,
        "temperature": 0,
        "max_tokens": 48,
        "cache_prompt": True,
        "id_slot": 0,
    }
    requests = {
        "health": ("GET", "/health", None),
        "models": ("GET", "/v1/models", None),
        "completion": ("POST", "/v1/chat/completions", chat),
        "save": ("POST", "/slots/0?action=save", {"filename": "recorded.slot"}),
        "restore": ("POST", "/slots/0?action=restore", {"filename": "recorded.slot"}),
        "restore_missing": ("POST", "/slots/0?action=restore", {"filename": "nothing.slot"}),
    }
    with httpx.Client(base_url=url, timeout=60, headers={"Connection": "close"}) as http:
        answers = {name: http.request(method, path, json=body) for name, (method, path, body) in requests.items()}
    return {
        name: {"status": answer.status_code, "type": answer.headers["content-type"], "body": answer.text}
        for name, answer in answers.items()
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(record(sys.argv[1]), indent=1, ensure_ascii=False) + "\n", "utf-8")
