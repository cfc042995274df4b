"""Molecular dynamics of many structures at once on the mean of a committee.

from molsieve.dynamics import DynamicsSettings, run_dynamics, stability

result = run_dynamics(committee, batch, DynamicsSettings(temperature_k=500.0), seed=1)
result.stable, result.reasons, stability(result.stable)
"""

from molsieve.dynamics.monitors import Limits
from molsieve.dynamics.trajectories import (
    DynamicsResult,
    DynamicsSettings,
    Frame,
    run_dynamics,
    stability,
)

__all__ = ["DynamicsResult", "DynamicsSettings", "Frame", "Limits", "run_dynamics", "stability"]
