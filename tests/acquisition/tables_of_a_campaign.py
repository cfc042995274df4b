"""Small tables of a made-up campaign: couples of two three-atom species."""

from __future__ import annotations

import numpy as np
import pandas as pd
from ase import Atoms

from molsieve.chem.identities import candidate_id, species_id, structure_row
from molsieve.tables import SCHEMAS

ROLES = ("oxidised", "reduced")


def candidate_tables(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """``candidates``, ``species`` and relaxed ``structures`` of ``n`` accepted candidates."""
    rng = np.random.default_rng(seed)
    candidates, species, structures = [], [], []
    for number in range(n):
        name = f"Q{number}"
        candidates.append(
            {
                "candidate_id": candidate_id(name),
                "identifier": name,
                "status": "accepted",
                "source": "test",
                "log_solubility": float(rng.normal()),
                "synthesizability": float(rng.random()),
                "fingerprint": rng.integers(0, 256, 16, dtype=np.uint8).tobytes(),
            }
        )
        for role in ROLES:
            identity = species_id(f"{name} {role}", 0, 1)
            species.append(
                {
                    "species_id": identity,
                    "role": role,
                    "identifier": f"{name} {role}",
                    "charge_e": 0,
                    "multiplicity": 1,
                    "status": "ok",
                    "candidate_id": candidate_id(name),
                }
            )
            structures.append(relaxed_row(name, role, rng))
    return tuple(  # type: ignore[return-value]
        pd.DataFrame(rows).reindex(columns=SCHEMAS[table].names)
        for rows, table in (
            (candidates, "candidates"),
            (species, "species"),
            (structures, "structures"),
        )
    )


def relaxed_row(name: str, role: str, rng: np.random.Generator, origin: str = "relaxed") -> dict:
    """A ``structures`` row of a candidate's species, at a random geometry."""
    return structure_row(
        Atoms("COH", positions=rng.normal(scale=2, size=(3, 3))),
        species_id=species_id(f"{name} {role}", 0, 1),
        origin=origin,
        geometry_protocol_id="test",
        candidate_id=candidate_id(name),
        role=role,
    )


def predictions_of(
    candidates: pd.DataFrame, mean: np.ndarray, std: float | np.ndarray = 0.1, members: int = 4
) -> pd.DataFrame:
    """Ok ``predictions`` of the candidates, members spread evenly about the mean."""
    mean = np.asarray(mean, float)
    std = np.broadcast_to(std, mean.shape).astype(float)
    offsets = np.linspace(-1, 1, members)
    return pd.DataFrame(
        {
            "round": 0,
            "candidate_id": candidates["candidate_id"].to_numpy(),
            "objective": "redox_potential",
            "unit": "V",
            "level_id": "0" * 16,
            "status": "ok",
            "in_domain": True,
            "mean": mean,
            "std_raw": std / 2,
            "std": std,
            "interval_68": [[m - s, m + s] for m, s in zip(mean, std, strict=True)],
            "interval_95": [[m - 2 * s, m + 2 * s] for m, s in zip(mean, std, strict=True)],
            "members": [(m + offsets * s).tolist() for m, s in zip(mean, std, strict=True)],
        }
    )


def ok_labels(structures: pd.DataFrame, energies_ev: np.ndarray) -> pd.DataFrame:
    """Winning ``labels`` rows, all ok."""
    return pd.DataFrame(
        {
            "structure_id": structures["structure_id"].to_numpy(),
            "status": "ok",
            "energy_ev": np.asarray(energies_ev, float),
            "error_kind": None,
        }
    )
