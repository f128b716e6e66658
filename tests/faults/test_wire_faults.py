"""Every fault of the connections and of the peers behind them, in its phases: the invariants hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from matrix import WIRE_FAULTS, Fault, Phase
from matrix_cases import cases, check_case
from mesh_pool import MeshPool


@pytest.mark.e2e
@pytest.mark.parametrize(("fault", "phase"), cases(WIRE_FAULTS))
async def test_the_invariants_hold(
    meshes: MeshPool, record_property: Callable[[str, object], None], fault: Fault, phase: Phase
) -> None:
    await check_case(meshes, record_property, fault, phase)
