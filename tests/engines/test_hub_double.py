"""The hub of the model store's tests speaks as the real one: the hub's own client reads it, and understands it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_double import COMMIT, CONFIG, WEIGHTS, Hub, git_blob, serving, sha256

# Prints what the client read, or the name of its error. In a process of its own: here the client is offline.
CLIENT = """
import json, sys
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
endpoint, token = sys.argv[1], sys.argv[2] or False
try:
    info = HfApi(endpoint=endpoint, token=token).model_info("example/tiny", revision="main", files_metadata=True)
    said = {file.rfilename: [file.size, file.blob_id, file.lfs.sha256 if file.lfs else None] for file in info.siblings}
    heads, files = {}, {}
    for name in said:
        url = hf_hub_url("example/tiny", name, revision=info.sha, endpoint=endpoint)
        head = get_hf_file_metadata(url, token=token)
        heads[name] = [head.etag, head.size, head.commit_hash]
        files[name] = hf_hub_download("example/tiny", name, revision=info.sha, endpoint=endpoint, token=token)
    print(json.dumps([info.sha, info.gated, said, heads, files]))
except HfHubHTTPError as error:
    print(json.dumps([type(error).__name__, error.response.status_code]))
"""


def as_client(hub: Hub, cache: Path, token: str = "") -> list:
    environment = {
        "PATH": os.environ["PATH"],
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    command = [sys.executable, "-c", CLIENT, hub.url, token]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def hub():
    with serving(Hub({"model.safetensors": WEIGHTS, "config.json": CONFIG})) as hub:
        yield hub


@pytest.mark.parametrize("redirects", [False, True])
def test_client_reads_sizes_hashes_commit_and_files(hub: Hub, tmp_path: Path, redirects: bool) -> None:
    hub.redirects = redirects
    commit, gated, said, heads, files = as_client(hub, tmp_path)
    assert (commit, gated) == (COMMIT, False)
    weights, config = said["model.safetensors"], said["config.json"]
    assert (weights[0], weights[2]) == (len(WEIGHTS), sha256(WEIGHTS))
    # Of a file in LFS, the blob is its pointer.
    assert weights[1] != git_blob(WEIGHTS)
    assert config == [len(CONFIG), git_blob(CONFIG), None]
    assert heads["model.safetensors"] == [sha256(WEIGHTS), len(WEIGHTS), COMMIT]
    assert heads["config.json"][::2] == [git_blob(CONFIG), COMMIT]
    assert Path(files["model.safetensors"]).read_bytes() == WEIGHTS
    assert Path(files["config.json"]).read_bytes() == CONFIG


@pytest.mark.parametrize(("token", "accepted", "status"), [("", True, 401), ("secret", False, 403)])
def test_client_knows_a_gated_repository(hub: Hub, tmp_path: Path, token: str, accepted: bool, status: int) -> None:
    hub.gated, hub.accepted = True, accepted
    assert as_client(hub, tmp_path, token) == ["GatedRepoError", status]


def test_client_reads_a_gated_repository_with_its_token(hub: Hub, tmp_path: Path) -> None:
    hub.gated = True
    _, gated, _, _, files = as_client(hub, tmp_path, "secret")
    assert gated == "auto"
    assert Path(files["model.safetensors"]).read_bytes() == WEIGHTS
