"""The model folder of the engine `csm`: errors for missing, broken and foreign files."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import csm_weights
import pytest
import torch
from safetensors.torch import load_file, save_file
from service_kit.engines.hub import HubFile, read_hub_entries, trust
from service_kit.errors import EngineFailed
from spoken_service import folder_beside, recording
from tts_service.engines.csm.config import CsmConfig
from tts_service.engines.csm.engine import CsmEngine
from tts_service.settings import TtsSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("csm") / "csm-1b"
    csm_weights.write_folder(made)
    return made


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return TtsSettings(engine="csm", csm_model=folder, csm_voices=tmp_path / "voices", csm_device="cpu")


def engine_of(settings: TtsSettings, **changed: object) -> CsmEngine:
    return CsmEngine(CsmConfig.from_settings(settings.model_copy(update=changed)))


async def loads(settings: TtsSettings, folder: Path) -> None:
    """Load and unload the folder's model."""
    async with engine_of(settings, csm_model=folder).lifespan():
        pass


def as_published(folder: Path) -> None:
    """Name the weights as sesame/csm-1b does, and put weights of another layout under the plain name."""
    weights = load_file(folder / "model.safetensors")
    part = "transformers-00001-of-00001.safetensors"
    (folder / "model.safetensors").rename(folder / part)
    save_file({"other": torch.zeros(2)}, folder / "model.safetensors", {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, part)}
    (folder / "transformers.safetensors.index.json").write_text(json.dumps(index))
    config = json.loads((folder / "config.json").read_text())
    named = config | {"transformers_weights": "transformers.safetensors.index.json"}
    (folder / "config.json").write_text(json.dumps(named))


async def test_pulled_model_is_verified_and_loaded_as_its_config_names_it(
    settings: TtsSettings, folder: Path, tmp_path: Path
) -> None:
    models, lock = tmp_path / "models", Path(__file__).parents[2] / "models.lock"
    models.mkdir()
    pulled = models / "csm"
    folder_beside(folder, tmp_path).rename(pulled)
    as_published(pulled)
    entry = read_hub_entries(lock)["csm"]
    for path in sorted(pulled.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        file = HubFile(path.name, digest, path.stat().st_size)
        trust(replace(entry, revision="a" * 40), file, models)
    # The lock names more files than the tiny model has.
    row = next(line for line in lock.read_text().split("[[model]]") if 'name = "csm"' in line)
    names = ", ".join(f'{{path = "{path.name}"}}' for path in sorted(pulled.iterdir()))
    own_lock = tmp_path / "models.lock"
    own_lock.write_text(f"[[model]]{row.partition('files = [')[0]}files = [{names}]\n")
    found = settings.model_copy(update={"csm_model": None, "models_dir": models, "models_lock": own_lock})
    async with CsmEngine(CsmConfig.from_settings(found)).lifespan():
        pass
    with (pulled / "transformers-00001-of-00001.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"!")
    with pytest.raises(EngineFailed, match="anchor pull csm") as refused:
        async with CsmEngine(CsmConfig.from_settings(found)).lifespan():
            pass
    assert refused.value.code == "models.mismatch"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
async def test_missing_file_is_named(settings: TtsSettings, folder: Path, tmp_path: Path, name: str) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).unlink()
    with pytest.raises(EngineFailed, match=rf"model_layout.*no .*{name}.* in .*put"):
        await loads(settings, spoilt)


@pytest.mark.parametrize(
    ("name", "content"), [("model.safetensors", b"\0" * 100), ("config.json", b"{"), ("tokenizer.json", b"{}")]
)
async def test_broken_file_is_named(
    settings: TtsSettings, folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    (spoilt / name).write_bytes(content)
    with pytest.raises(EngineFailed, match=rf"model_broken.*{name} cannot be read.*copy"):
        await loads(settings, spoilt)


async def test_truncated_weights_file_is_named(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    spoilt = folder_beside(folder, tmp_path)
    weights = spoilt / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(EngineFailed, match=r"model_broken.*model.safetensors"):
        await loads(settings, spoilt)


async def test_model_of_another_type_is_refused(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    spoilt = folder_beside(folder, tmp_path)
    config = json.loads((spoilt / "config.json").read_text())
    (spoilt / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(EngineFailed, match=r"model_layout.*'llama', not 'csm'"):
        await loads(settings, spoilt)


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"text_vocab_size": 64}])
async def test_weights_of_another_model_leave_nothing_loaded(
    settings: TtsSettings, folder: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    spoilt = folder_beside(folder, tmp_path)
    config = json.loads((spoilt / "config.json").read_text())
    (spoilt / "config.json").write_text(json.dumps(config | change))
    engine = engine_of(settings, csm_model=spoilt)
    with pytest.raises(EngineFailed, match=r"model_layout.*not of one model"):
        async with engine.lifespan():
            pass
    with pytest.raises(EngineFailed, match="not_loaded"):
        await engine.add_voice("Ana", recording(3), "hello", "en")


async def test_tokenizer_of_another_model_is_refused(settings: TtsSettings, folder: Path, tmp_path: Path) -> None:
    spoilt = folder_beside(folder, tmp_path)
    tokenizer = (spoilt / "tokenizer.json").read_text()
    (spoilt / "tokenizer.json").write_text(tokenizer.replace("<|end_of_text|>", "<|else|>"))
    with pytest.raises(EngineFailed, match=r"model_layout.*end_of_text"):
        await loads(settings, spoilt)
