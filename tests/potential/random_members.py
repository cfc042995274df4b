"""Committees of networks with random weights, of either precision."""

import torch

from molsieve.potential.committee import Committee
from molsieve.potential.model import Architecture, EnergyModel

SHAPE = {
    "features": 16,
    "interactions": 2,
    "radial_functions": 10,
    "cutoff_angstrom": 4.0,
    "electronic_embedding": False,
}


def random_member(seed: int = 0, **changes) -> EnergyModel:
    """A network in torch's default precision whose every weight matters."""
    precision = torch.get_default_dtype()
    # SchNetPack builds its radial basis in single precision only.
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(seed)
    model = EnergyModel(Architecture(**SHAPE | changes))
    torch.set_default_dtype(precision)
    model.to(precision).requires_grad_(False)
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    model.baseline_ev[:] = torch.linspace(0, -100.0 - seed, len(model.baseline_ev))
    model.scale_ev.fill_(1.0 + 0.1 * seed)
    return model


def random_committee(members: int = 3, **changes) -> Committee:
    """Knows elements 1 to 60 and, without the embedding, neutral singlets."""
    description = {
        "level_id": "random",
        "architecture": SHAPE | changes,
        "elements": list(range(1, 61)),
        "charges_and_multiplicities": [[0, 1]],
    }
    models = [random_member(seed, **changes) for seed in range(members)]
    return Committee(models, [description] * members)
