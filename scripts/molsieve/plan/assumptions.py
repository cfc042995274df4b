"""What a plan's prices rest on, for a person."""

from __future__ import annotations

from pathlib import Path

from molsieve.campaign import Campaign
from molsieve.plan.pricing import Space, cost_model
from molsieve.prices import (
    DFT_GPU_SPEEDUP,
    GPU_SPEEDUP,
    RECOVERY_SHARE,
    ROOT_ATOMS,
    ROOT_FACTOR,
    TRAINING_S_PER_ATOM,
    evaluation_s_per_atom,
)
from molsieve.property_settings import objective_level


def assumptions(campaign: Campaign, space: Space) -> list[str]:
    """A line each."""
    store = Path(campaign.run.label_store)
    source = f"timings in {store}, if at least 8" if store.exists() else "the cost model's defaults"
    evaluation = evaluation_s_per_atom(campaign.potential.device != "cpu")
    return [
        "upper bounds: every round up to the limits, every member to its last epoch, every "
        "relaxation to its last step; early stopping and convergence make it cheaper",
        f"{len(space.numbers)} species drawn from the space, {space.atoms:.1f} atoms on average, "
        f"and the {len(space.measured)} species of the measured systems",
        f"seconds a label: {source}; {RECOVERY_SHARE:.0%} more for recovery and repeats",
        *excited_states(campaign, space),
        f"structures: {space.building}",
        f"training {TRAINING_S_PER_ATOM:g} and evaluation {evaluation:.2g} core-s an atom "
        "and member (64 features, 3 interactions)",
        f"a GPU is {GPU_SPEEDUP:g} cores for the potential, {DFT_GPU_SPEEDUP:g} for DFT",
        "disk: nothing is deleted, so the end is the peak",
    ]


def excited_states(campaign: Campaign, space: Space) -> list[str]:
    """Levels whose roots are priced by their share of the ground state; none with timings."""
    objective = objective_level(campaign.model_dump(mode="json"))
    names = dict.fromkeys([campaign.labels.level, objective, campaign.ranking.confirm.level])
    model = cost_model(campaign)
    methods = {
        name: campaign.level(name).excitations.method  # type: ignore[union-attr]
        for name in names
        if getattr(campaign.level(name), "excitations", None) is not None
        and not model.has_timings(campaign.level(name))
    }
    if not methods:
        return []
    used = sorted(set(methods.values()))
    shares = ", ".join(f"{ROOT_FACTOR[method]:.0%} with {method.upper()}" for method in used)
    low, high = ROOT_ATOMS
    far = "" if space.atoms <= high else f", extrapolated to {space.atoms:.0f}"
    return [
        f"excited states at {', '.join(methods)}: a root costs a share of its ground state "
        f"({shares}), measured on {low} to {high} atoms{far}; 8 labels of a level in the store "
        "replace it"
    ]
