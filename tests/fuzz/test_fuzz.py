"""No input breaks a parser: the corpus of each target is checked, and then generated cases.

`FUZZ_CASES` is their number, and `FUZZ_SEED` repeats a run. A case that fails is stored in `run/fuzz`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import file_targets
import http_targets
import pytest
import recording_targets
import service_targets
import session_targets
import text_targets
from target import CASES, CORPUS, SEED, FuzzTarget, explore

TARGETS = (
    *session_targets.TARGETS,
    *http_targets.TARGETS,
    *service_targets.TARGETS,
    *recording_targets.TARGETS,
    *file_targets.TARGETS,
    *text_targets.TARGETS,
)


@pytest.fixture(autouse=True)
def errors_only() -> Iterator[None]:
    """Keep the log of refusals, a line for each case, out of memory."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


# Starlette leaves the file of a part that is cut off to its finaliser, which closes it.
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
# 100,000 cases on a busy machine take more than an hour.
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_breaks_the_parser(target: FuzzTarget) -> None:
    cases = max(1, CASES // target.one_in)
    try:
        explore(target, cases)
    except BaseException as error:
        error.add_note(f"repeat with FUZZ_SEED={SEED} FUZZ_CASES={CASES}")
        raise


def test_every_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {target.name for target in TARGETS}
