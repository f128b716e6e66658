"""One parser under test, and the search for a case that breaks its rules."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choices import Choices
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from oracle import bounded_cost

CORPUS = Path(__file__).parent / "corpus"
FAILURES = Path(__file__).parents[2] / "run/fuzz"
# Cases of each target; a target whose case is a process takes a hundredth.
CASES = int(os.environ.get("FUZZ_CASES", "600"))
SEED = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
# Hypothesis remembers what it has tried: in rounds, its memory stays small.
_ROUND = 2_000
# Bytes for the decisions of one case.
_DATA = st.binary(min_size=48, max_size=600)

Check = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """A parser: `generate` makes a case from choices and the corpus, `checking` yields the check of a case."""

    name: str
    generate: Callable[[Choices, Sequence[bytes]], bytes]
    checking: Callable[[], AbstractContextManager[Check]]
    # One of so many of the cases is run.
    one_in: int = 1

    @property
    def corpus(self) -> dict[str, bytes]:
        """The seeds and the cases that once failed, by file name."""
        return {path.name: path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())}


def explore(target: FuzzTarget, cases: int) -> None:
    """Check the corpus, and then `cases` generated cases; a failing one is made small and stored in `run/fuzz`."""
    corpus = tuple(target.corpus.values())
    with target.checking() as check:
        for name, case in target.corpus.items():
            try:
                check(case)
            except Exception as error:
                error.add_note(f"the case is tests/fuzz/corpus/{target.name}/{name}")
                raise
        for number, begin in enumerate(range(0, cases, _ROUND)):
            _explore_round(target, check, corpus, min(_ROUND, cases - begin), SEED + number)


def _explore_round(target: FuzzTarget, check: Check, corpus: Sequence[bytes], cases: int, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(_DATA)
    def run_case(data: bytes) -> None:
        case = target.generate(Choices(data), corpus)
        try:
            with bounded_cost():
                check(case)
        except Exception as error:
            path = _store(target, case)
            error.add_note(f"the case is in {path}; kept in tests/fuzz/corpus/{target.name}, it is run every time")
            raise

    run_case()


def _store(target: FuzzTarget, case: bytes) -> Path:
    path = FAILURES / target.name / "failing"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case)
    return path


@contextmanager
def running_loop(factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Generator[Callable[[Any], Any]]:
    """Yield a function that runs a coroutine to its end, on one loop for all cases; no task may be left."""
    with asyncio.Runner(loop_factory=factory) as runner:

        async def alone(work: Any) -> Any:
            result = await work
            # Generators that a library left to the loop end in its next turns.
            for _ in range(4):
                await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left: {left}"
            return result

        yield lambda work: runner.run(alone(work))
