"""Files: the models are what their names say, and whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service_kit.engines.hub import MOVING, HubFile, HubModel

from anchor_cli.verification.checks.limits import CODES_PER_BOOK, MOST_CODEC_BYTES
from anchor_cli.verification.outcome import Check, require

_FETCH_AGAIN = "Delete the folder {folder} and fetch it again with `anchor pull {folder} --renew`."
_CODEC_PARTS = ("acoustic_decoder.", "acoustic_encoder.", "semantic_model.", "quantizer.", "fc2.")


def check_higgs(folder: str, config: Mapping[str, Any], tensors: Mapping[str, Sequence[str]]) -> tuple[Check, ...]:
    """Decide on the speech model: its configuration, and its missing and unexpected tensors."""
    cure = _FETCH_AGAIN.format(folder=folder)
    kind, codes = config.get("model_type"), config.get("codebook_size")
    wrong = [f"{why} {', '.join(list(names)[:3])}" for why, names in tensors.items() if names]
    return (
        require("speech model's type", kind == "higgs_audio_v2", f"{folder}: {kind}", cure),
        require("codes per book", codes == CODES_PER_BOOK, f"{codes}, wanted {CODES_PER_BOOK}", cure),
        require("speech model's tensors", not wrong, "; ".join(wrong) or "none missing, none unexpected", cure),
    )


def check_codec(folder: str, config: Mapping[str, Any], names: Iterable[str], size_bytes: int) -> tuple[Check, ...]:
    """Decide on the codec: another model under its name is in circulation."""
    cure = _FETCH_AGAIN.format(folder=folder)
    names = tuple(names)
    missing = [part for part in _CODEC_PARTS if not any(name.startswith(part) for name in names)]
    kind = config.get("model_type")
    return (
        require("codec's type", kind == "higgs_audio_v2_tokenizer", f"{folder}: {kind}", cure),
        require("codec's parts", not missing, f"lacks {', '.join(missing)}" if missing else "all are there", cure),
        require(
            "codec's size",
            size_bytes < MOST_CODEC_BYTES,
            f"{size_bytes / 1e9:.2f} GB, wanted less than {MOST_CODEC_BYTES / 1e9:.0f}",
            cure,
        ),
    )


def check_whole(sizes: Mapping[str, tuple[int, int]]) -> Check:
    """Decide whether each weight file is as long as its own header says: (bytes on disk, bytes by the header)."""
    cut = [name for name, (found, wanted) in sizes.items() if found != wanted]
    message = f"not whole: {', '.join(cut)}" if cut else f"{len(sizes)} weight files are whole"
    return require(
        "weight files", bool(sizes) and not cut, message, "Delete the named files and run `anchor pull gpu` again."
    )


def check_pinned(models: Iterable[HubModel]) -> Check:
    """Decide whether the lock rows can be pinned: each model has a commit, and each file a hash."""
    unpinned = [model.name for model in models if model.revision == MOVING or model.unknown]
    return require(
        "models.lock rows",
        not unpinned,
        f"unknown commit or hash: {', '.join(unpinned)}"
        if unpinned
        else "commit, sizes and SHA-256 of every file are known",
        "Run `anchor pull gpu`, which records commits, sizes and hashes.",
    )


def render_lock_rows(models: Iterable[HubModel]) -> str:
    """The finished entries of `models.lock`, in its own format."""
    return "\n".join(_row(model) for model in models)


def _row(model: HubModel) -> str:
    # Checked names, digits and paths: none of them needs escaping.
    files = [f"    {{{_file_row(file)}}}," for file in model.files]
    optional = {
        "purpose": model.purpose,
        "gated": model.gated,
        "subfolder": model.subfolder,
        "max_bytes": model.max_bytes,
        "has_tensor": model.has_tensor,
        "profiles": list(model.profiles),
        "alternatives": list(model.alternatives),
    }
    lines = [
        "[[model]]",
        'kind = "hub"',
        f'name = "{model.name}"',
        f'repository = "{model.repository}"',
        f'revision = "{model.revision}"',
        f'licence = "{model.licence}"',
        # JSON's strings, numbers and lists are TOML's.
        *(f"{name} = {json.dumps(value)}" for name, value in optional.items() if value),
        "files = [",
        *files,
        "]",
    ]
    return "\n".join(lines) + "\n"


def _file_row(file: HubFile) -> str:
    fields = {
        "path": file.path,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "source": file.source,
        "repository": file.repository,
        "revision": file.revision,
    }
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in fields.items() if value)
