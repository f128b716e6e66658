"""The cases of the matrix as parameters of a test, and the judgement on one of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

import pytest
from invariants import violations
from matrix import Fault, Phase
from mesh_pool import MeshPool
from trial import try_fault
from trial_table import PROPERTY, failure_row, trial_row

EVERYTHING = os.environ.get("FAULTS") == "all"
TRIAL_WITHIN_S = 200.0


def cases(rows: Iterable[Fault]) -> list[object]:
    """A parameter set for each phase of each row: of the default subset, or with `FAULTS=all` of all."""
    return [
        pytest.param(fault, phase, id=f"{fault.name}-{phase}")
        for fault in rows
        for phase in fault.phases_of(everything=EVERYTHING)
    ]


async def check_case(
    meshes: MeshPool, record_property: Callable[[str, object], None], fault: Fault, phase: Phase
) -> None:
    """Try a fault in a phase and check the invariants; a mesh that may be broken after it is replaced."""
    mesh = meshes.get(real_speech=fault.real_speech)
    try:
        async with asyncio.timeout(TRIAL_WITHIN_S):
            if mesh.real_speech and not mesh.heard_question:
                mesh.heard_question = (await try_fault(mesh, None, Phase.IDLE)).committed[1]
            notes = await try_fault(mesh, fault, phase)
    except BaseException as error:
        record_property(PROPERTY, failure_row(fault.name, phase, error))
        meshes.discard(real_speech=fault.real_speech)
        raise
    problems = violations(notes)
    record_property(PROPERTY, trial_row(fault.name, phase, notes, problems))
    if problems:
        meshes.discard(real_speech=fault.real_speech)
    assert problems == []
