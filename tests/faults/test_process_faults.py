"""Every fault of the processes and of the machine, in its phases: the invariants hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matrix import MATRIX, PROCESS_FAULTS, Expected, Fault, Phase
from matrix_cases import cases, check_case
from mesh_pool import MeshPool


@pytest.mark.e2e
@pytest.mark.parametrize(("fault", "phase"), cases(PROCESS_FAULTS))
async def test_the_invariants_hold(
    meshes: MeshPool, record_property: Callable[[str, object], None], fault: Fault, phase: Phase
) -> None:
    await check_case(meshes, record_property, fault, phase)


def test_the_default_subset_has_every_kind_and_phase() -> None:
    def family(fault: Fault) -> tuple[str, str]:
        """All nonsense of one peer is one kind."""
        kind, _, answer = fault.kind.partition(":")
        return (fault.subject, kind) if answer else ("", kind)

    default = [(fault, phase) for fault in MATRIX for phase in fault.phases_of(everything=False)]
    assert {family(fault) for fault, _ in default} == {family(fault) for fault in MATRIX}
    assert {phase for _, phase in default} == set(Phase)
    assert {fault.expected for fault, _ in default} == set(Expected)
