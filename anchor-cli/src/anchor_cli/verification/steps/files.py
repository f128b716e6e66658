"""Step 2: the files. Fetches all models of the profile and looks into them; nothing goes on the card."""

from __future__ import annotations

from pathlib import Path

from service_kit.engines.hub import HubModel

from anchor_cli.verification.checks.files import (
    check_codec,
    check_higgs,
    check_pinned,
    check_whole,
    render_lock_rows,
)
from anchor_cli.verification.outcome import Outcome
from anchor_cli.verification.steps.torch_process import run_voice_check
from anchor_cli.verification.weights_header import read_json, read_weights_header, weight_files
from anchor_cli.verification.workbench import Workbench

_TENSORS_TIMEOUT_S = 300.0


async def verify_files(bench: Workbench) -> Outcome:
    """Fetch, inspect, and print the finished rows of models.lock."""
    models = await bench.equipment.fetch_models(offline=bench.offline)
    voice = bench.equipment.voice_models()
    folders = {voice.model, voice.codec, *(bench.equipment.models_folder() / model.name for model in models)}
    headers = {path: read_weights_header(path) for folder in sorted(folders) for path in weight_files(folder)}
    sizes = {f"{path.parent.name}/{path.name}": (_size(path), header.whole_bytes) for path, header in headers.items()}
    tensors = await run_voice_check(
        bench, "tensors", "--model", str(voice.model), timeout_s=_TENSORS_TIMEOUT_S, use_card=False
    )
    codec_files = weight_files(voice.codec)
    names = [name for path in codec_files for name in headers[path].names]
    codec_bytes = sum(_size(path) for path in codec_files)
    codec_config = read_json(voice.codec / "config.json")
    bench.lock_rows = render_lock_rows(models)
    figures = {
        "files": {name: found for name, (found, _) in sizes.items()},
        "models": [_described(model) for model in models],
        "lock_rows": bench.lock_rows,
    }
    return Outcome(
        (
            check_whole(sizes),
            *check_higgs(voice.model.name, read_json(voice.model / "config.json"), tensors),
            *check_codec(voice.codec.name, codec_config, names, codec_bytes),
            check_pinned(models),
        ),
        figures,
    )


def _described(model: HubModel) -> dict[str, object]:
    return {"name": model.name, "repository": model.repository, "revision": model.revision, "files": len(model.files)}


def _size(path: Path) -> int:
    return path.stat().st_size
