"""The codec in windows against the codec in one piece, and both halves of it against their authors' code."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import higgs_weights
import numpy as np
import pytest
import soxr
import torch
from safetensors.torch import load_file, save_file
from service_kit.errors import EngineFailed
from tts_service.engines.higgs.model.codec import CodecDecoder
from tts_service.engines.higgs.model.loading import CodecFiles, load_codec
from tts_service.engines.higgs.model.reference import ReferenceEncoder
from tts_service.engines.higgs.windowing import CONTEXT_FRAMES, FrameWindower, Window

CPU = torch.device("cpu")
AUTHORS_MODULE = "transformers.models.higgs_audio_v2_tokenizer.modeling_higgs_audio_v2_tokenizer"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> CodecFiles:
    folder = tmp_path_factory.mktemp("higgs-codec")
    higgs_weights.write_codec(folder)
    return load_codec(folder)


class Whole(types.SimpleNamespace):
    """Holds the parts of a model; hashed by what it is, as their caches ask."""

    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]


def resampled(sound: torch.Tensor, from_hz: int, to_hz: int) -> torch.Tensor:
    return torch.from_numpy(soxr.resample(sound[0].T.numpy(), from_hz, to_hz)).T[None]


@pytest.fixture(scope="module")
def authors_module() -> Any:
    """Their module; it asks for torchaudio, of which resampling is all that it uses."""
    stand_in = types.ModuleType("torchaudio")
    setattr(stand_in, "functional", types.SimpleNamespace(resample=resampled))  # noqa: B010
    sys.modules["torchaudio"] = stand_in
    try:
        return importlib.import_module(AUTHORS_MODULE)
    finally:
        del sys.modules["torchaudio"]


@pytest.fixture(scope="module")
def authors_codec(authors_module: Any, files: CodecFiles) -> Any:
    # Their constructor insists on the installed package; what it sets up does not need it.
    whole = Whole(config=files.config, pad=files.config.hop_length // 2)
    build(authors_module, whole, files)
    return whole


def build(module: Any, whole: Any, files: CodecFiles) -> None:
    """The parts of their model, with the weights of `files`."""
    from transformers import DacModel, HubertModel

    config, theirs = files.config, module.HiggsAudioV2TokenizerModel
    acoustic = DacModel(config.acoustic_model_config)
    theirs._adjust_dac_decoder(acoustic.decoder)
    parts = {
        "acoustic_encoder": acoustic.encoder,
        "acoustic_decoder": acoustic.decoder,
        "encoder_semantic": module.SemanticEncoder(config),
        "semantic_model": HubertModel(config.semantic_model_config).eval(),
        "quantizer": module.HiggsAudioV2TokenizerResidualVectorQuantization(config),
        "fc": torch.nn.Linear(config.hidden_size, config.hidden_size),
        "fc2": torch.nn.Linear(config.hidden_size, config.acoustic_model_config.hidden_size),
    }
    for name, part in parts.items():
        weights = {key.removeprefix(f"{name}."): w for key, w in files.weights.items() if key.startswith(f"{name}.")}
        missing, unexpected = part.load_state_dict(weights, strict=False)
        assert not unexpected
        assert all(left.endswith(("inited", "cluster_size", "embed_avg")) for left in missing)
        setattr(whole, name, part)
    for method in ("_extract_semantic_features", "_get_conv1d_output_lengths", "_get_conv1d_layers"):
        setattr(whole, method, types.MethodType(getattr(theirs, method), whole))


def frames_of(count: int, seed: int = 4) -> Any:
    return np.random.default_rng(seed).integers(0, 1024, (count, 8))


@torch.inference_mode()
def test_decoding_equals_the_authors_codec(files: CodecFiles, authors_module: Any, authors_codec: Any) -> None:
    frames = frames_of(30)
    decode = authors_module.HiggsAudioV2TokenizerModel.decode
    theirs = decode(authors_codec, torch.tensor(frames.T)[None], return_dict=False).flatten()
    ours = CodecDecoder(files, CPU).decode_frames(frames)
    assert ours.shape == theirs.shape == (30 * 960,)
    assert theirs.std() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [48_000, 48_300])
@torch.inference_mode()
def test_encoding_equals_the_authors_codec(
    files: CodecFiles, authors_module: Any, authors_codec: Any, length: int
) -> None:
    samples = np.random.default_rng(5).standard_normal(length).astype(np.float32) * 0.1
    encode = authors_module.HiggsAudioV2TokenizerModel.encode
    theirs = encode(authors_codec, torch.tensor(samples)[None, None], return_dict=False)[0].T.numpy()
    ours = ReferenceEncoder(files).encode(samples)
    assert ours.shape == theirs.shape
    assert np.unique(theirs).size > 50
    # A distance that two codes share to the last bits may go either way.
    assert (ours == theirs).mean() > 0.99


def windows_of(count: int) -> list[Window]:
    emission = FrameWindower()
    made = [window for frame in frames_of(count) if (window := emission.push_frame(frame)) is not None]
    last = emission.flush()
    return [*made, last] if last else made


@pytest.mark.parametrize("count", [1, 3, 13, 14, 15, 40, 97])
def test_windows_equal_one_whole_decoding(files: CodecFiles, count: int) -> None:
    codec = CodecDecoder(files, CPU, torch.float64)
    whole = codec.decode_frames(frames_of(count)).float().numpy()
    pieces = np.concatenate([codec.decode_window(window) for window in windows_of(count)])
    assert pieces.shape == whole.shape
    assert np.abs(pieces - whole).max() < 1e-7


def test_less_context_changes_the_samples(files: CodecFiles) -> None:
    codec = CodecDecoder(files, CPU, torch.float64)
    frames = frames_of(40)
    whole = codec.decode_frames(frames).float().numpy()[20 * 960 : 21 * 960]
    for context, exact in ((CONTEXT_FRAMES, True), (5, False)):
        window = Window(frames[20 - context : 21 + context], context, 1)
        assert (np.abs(codec.decode_window(window) - whole).max() < 1e-7) == exact


def test_windows_grow_from_a_short_first_one() -> None:
    assert [window.keep for window in windows_of(100)] == [4, 6, 10, 20, 25, 25, 10]
    assert windows_of(100)[0].frames.shape == (14, 8)
    assert all(len(window.frames) <= 25 + 2 * CONTEXT_FRAMES for window in windows_of(300)[:-1])


def test_weight_normalisation_is_merged(tmp_path: Path, files: CodecFiles) -> None:
    higgs_weights.write_codec(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    name = "acoustic_decoder.conv1.weight"
    whole = weights.pop(name)
    length = whole.flatten(1).norm(dim=1).view(-1, 1, 1)
    weights[name.replace("weight", "parametrizations.weight.original0")] = length
    weights[name.replace("weight", "parametrizations.weight.original1")] = whole / length * 3
    save_file(weights, path)
    torch.testing.assert_close(load_codec(tmp_path).weights[name], whole)


def test_language_model_weights_are_refused_as_codec(tmp_path: Path) -> None:
    higgs_weights.write_codec(tmp_path)
    save_file({"model.norm.weight": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(EngineFailed, match="not those of a codec"):
        load_codec(tmp_path)


def test_codec_without_its_semantic_model_is_refused(files: CodecFiles) -> None:
    weights = {name: weight for name, weight in files.weights.items() if "feature_projection" not in name}
    with pytest.raises(EngineFailed, match="semantic model lacks"):
        ReferenceEncoder(CodecFiles(files.config, weights))
