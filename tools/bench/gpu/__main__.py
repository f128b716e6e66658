"""`make bench-gpu`: measures part by part; the error of a failed part goes into the report, and the others run."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

# The libraries read these on import: no downloads, and no progress bars.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
# CUDA sees the card of the containers alone, counted as nvidia-smi does.
os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", os.environ.get("ANCHOR_GPU") or "0")
# Tiny matrices are slower on many threads.
if "--tiny" in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from report import replace_figures  # pyright: ignore[reportAttributeAccessIssue]

from gpu.report import LONG_STEP_MS, SLOTS, as_json, page_text
from gpu.results import BenchResult

if TYPE_CHECKING:
    from gpu.memory import Loaded

PROJECT = Path(__file__).parents[3]
PAGE = PROJECT / "docs/gpu-performance.md"
RESULTS = PROJECT / "run/bench-gpu.json"
# The defaults of `anchor plan`.
CONTEXT_TOKENS, PLANNED_SLOTS = 1536, 4
EIGHT_BITS = ("int8", "fp8")


class Bench:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        from gpu.devices import find_device, memory_used_mib, torch_device
        from gpu.random_weights import FULL, TINY

        self.options = options
        self.tiny: bool = options.tiny
        # Read before this process uses the card.
        self.used_before_mib = None if self.tiny else memory_used_mib()
        device = find_device(self.tiny)
        self.device = torch_device(self.tiny)
        self.memory_bytes = device.memory_bytes
        self.size = TINY if self.tiny else FULL
        self.measured = BenchResult(str(device), device.data_sheet, 512 if self.tiny else CONTEXT_TOKENS)

    def run(self) -> BenchResult:
        """Run all parts."""
        with self.part("bandwidth"):
            self.measure_bandwidth()
        self.measure_higgs()
        self.release()
        with self.part("Voxtral"):
            self.measure_voxtral()
        self.measured.notes.append(
            "The language model is not measured: Ollama prints its own timings (`ollama run --verbose`), and random "
            "weights in its formats do not exist."
        )
        return self.measured

    @contextmanager
    def part(self, name: str) -> Generator[None]:
        """Run one part; an error in it is recorded, and the other parts still run."""
        from service_kit.errors import root_cause

        from gpu.devices import clock_state

        begin = time.monotonic()
        try:
            yield
        except Exception as error:  # The other parts still run.
            cause = root_cause(error)
            self.measured.failures[name] = f"{type(cause).__name__}: {str(cause)[:500]}"
        self.measured.seconds[name] = round(time.monotonic() - begin, 1)
        self.measured.clocks[name] = clock_state()
        sys.stderr.write(f"{name}: {self.measured.failures.get(name, 'done')} ({self.measured.seconds[name]} s)\n")

    def measure_bandwidth(self) -> None:
        from gpu.bandwidth import copy_gb_s

        self.measured.copy_gb_s = copy_gb_s(self.device, 2**24 if self.tiny else 2**31)
        self.release()

    def measure_higgs(self) -> None:
        from gpu.memory import load

        loaded: Loaded | None = None
        with self.part("higgs: loading"):
            loaded = load(self.size, self.device, self.used_before_mib)
        if loaded is None:
            return
        self.measure_whole(loaded)
        codec = replace(loaded, lm=None)
        del loaded
        for kind in EIGHT_BITS:
            self.measure_weights(kind, lambda slots, kind=kind: self.in_eight_bits(codec, kind, slots))

    def measure_whole(self, loaded: Loaded) -> None:
        """Measure the model in its published precision."""
        from gpu.memory import measure_memory

        self.release()
        with self.part("higgs: memory"):
            slots = 2 if self.tiny else PLANNED_SLOTS
            self.measured.memory = measure_memory(loaded, self.size, slots, self.measured.context_tokens)
        self.measure_weights("fp32" if self.tiny else "bf16", lambda _: loaded)
        self.release()
        with self.part("higgs: profile"):
            self.profile_long_step(loaded)

    def in_eight_bits(self, loaded: Loaded, kind: str, slots: int) -> Loaded:
        """The same model, quantised as in the engine for so many slots."""
        from gpu.random_weights import quantised_model

        return replace(loaded, lm=quantised_model(self.size, self.device, kind, slots))

    def measure_weights(self, weights: str, load: Callable[[int], Loaded]) -> None:
        """Measure steps and speech with each number of slots."""
        from service_kit.errors import InvalidRequest

        for slots in SLOTS[:2] if self.tiny else SLOTS:
            self.release()
            with self.part(f"higgs: {weights}, {slots} slots"):
                try:
                    loaded = load(slots)
                except InvalidRequest as refusal:
                    self.measured.notes.append(f"{weights} is not measured: {refusal}")
                    return
                self.measure_slots(loaded, weights, slots)
                del loaded

    def measure_slots(self, loaded: Loaded, weights: str, slots: int) -> None:
        from gpu.higgs_speech import measure_speech, steps_to_first_audio
        from gpu.higgs_steps import Speaker, measure_steps

        context = self.measured.context_tokens
        steps, frames, rounds = (3, 20, 1) if self.tiny else (50, 100, 3)
        self.measured.steps.append(measure_steps(loaded.lm, weights, slots, context, loaded.encode, steps))
        speaker = Speaker.of(loaded.lm, slots, context, loaded.encode)
        self.measured.steps_to_first_audio = steps_to_first_audio(speaker.model.books)
        self.measured.speech.append(asyncio.run(measure_speech(speaker, loaded.codec, weights, frames, rounds)))

    def profile_long_step(self, loaded: Loaded) -> None:
        from gpu.higgs_steps import profile_steps

        limit_ms = 0.0 if self.tiny else LONG_STEP_MS
        long = [row.slots for row in self.measured.steps if row.whole_ms > limit_ms]
        if long:
            self.measured.profile = profile_steps(loaded.lm, long[0], self.measured.context_tokens, loaded.encode)

    def measure_voxtral(self) -> None:
        from gpu.devices import memory_used_mib
        from gpu.memory import server_memory, server_share
        from gpu.voxtral import measure_finals, start_server, vllm_is_installed

        if self.options.vllm_url:
            self.measured.finals = measure_finals(self.options.vllm_url)
        elif self.tiny or not vllm_is_installed():
            self.measured.notes.append("Voxtral is not measured: vLLM is not installed here.")
        else:
            before = memory_used_mib()
            with start_server(server_share(self.memory_bytes)) as url:
                self.measured.memory += server_memory(before, memory_used_mib())
                self.measured.finals = measure_finals(url)

    def release(self) -> None:
        """Free unreferenced memory."""
        import torch

        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench-gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="on the processor, with tiny weights: tests the benchmark")
    parser.add_argument("--vllm-url", help="base URL of a vLLM that serves `voxtral`, with the version path")
    parser.add_argument("--no-page", action="store_true", help=f"leave {PAGE.name} unchanged")
    options = parser.parse_args()
    if find_spec("torch") is None:
        parser.exit(2, f"bench-gpu needs torch, which {sys.executable} does not have\n")
    # The engine warns about phrases that reach their frame limit, as all of the benchmark do.
    logging.getLogger("tts_service").setLevel(logging.ERROR)
    measured = Bench(options).run()
    path = RESULTS.with_stem(f"{RESULTS.stem}-tiny") if options.tiny else RESULTS
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(as_json(measured), indent=1) + "\n", "utf-8")
    text = page_text(measured, time.strftime("%Y-%m-%d", time.gmtime()))
    sys.stdout.write(f"{text}\n\n{path.relative_to(PROJECT)}\n")
    if not (options.tiny or options.no_page):
        replace_figures(PAGE, text)
    sys.exit(1 if measured.failures else 0)


if __name__ == "__main__":
    main()
