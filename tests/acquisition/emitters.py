"""A made-up campaign with several goals: one molecule a candidate, with S1 and T1."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from ase import Atoms

from molsieve.acquisition.assessment import assess_round
from molsieve.acquisition.selection import select_batch
from molsieve.campaign import Acquisition, Confirm
from molsieve.chem.identities import candidate_id, species_id, structure_row
from molsieve.domains.oled.goals import Objective, Ranking
from molsieve.domains.oled.objective import OBJECTIVES, labelled_values, objective_values
from molsieve.levels import PyscfLevel
from molsieve.ranking import rank_candidates, select_hits
from molsieve.tables import SCHEMAS, empty_table, read_table

GOALS = Objective.model_validate(
    {
        "goals": {
            "singlet_triplet_gap": {"direction": "minimise", "worst": 1.0, "ideal": 0.0},
            "oscillator_strength": {"direction": "maximise", "worst": 0.0, "ideal": 1.0},
            "singlet_energy": {"direction": "window", "window": [2.5, 3.0], "worst": 1.0},
            "sa_score": {"direction": "minimise", "worst": 8.0, "ideal": 2.0},
        }
    }
)
TWO_GOALS = Objective.model_validate(
    {"goals": {k: GOALS.goals[k] for k in ("singlet_triplet_gap", "oscillator_strength")}}
)


def emitter_tables(n: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """``candidates``, ``species`` and relaxed ``structures`` of ``n`` accepted molecules."""
    rng = np.random.default_rng(seed)
    candidates, species, structures = [], [], []
    for number in range(n):
        name = "C" * (number + 1)
        own = {"candidate_id": candidate_id(name), "identifier": name}
        candidates.append(
            own
            | {"status": "accepted", "source": "test", "sa_score": float(rng.uniform(2, 7))}
            | {"fingerprint": rng.integers(0, 256, 16, dtype=np.uint8).tobytes()}
        )
        identity = species_id(name, 0, 1)
        species.append(
            own
            | {"species_id": identity, "role": "ground", "charge_e": 0, "multiplicity": 1}
            | {"status": "ok"}
        )
        structures.append(
            structure_row(
                Atoms("COHH", positions=rng.normal(scale=2, size=(4, 3))),
                species_id=identity,
                origin="relaxed",
                geometry_protocol_id="test",
                candidate_id=candidate_id(name),
                role="ground",
            )
        )
    return tuple(  # type: ignore[return-value]
        pd.DataFrame(rows).reindex(columns=SCHEMAS[table].names)
        for rows, table in (
            (candidates, "candidates"),
            (species, "species"),
            (structures, "structures"),
        )
    )


def true_states(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3) S1 and T1, eV, and the root of the oscillator strength: small gaps are dark."""
    rng = np.random.default_rng([seed, 1])
    overlap = rng.random(n)
    singlet = rng.uniform(2.0, 3.5, n)
    gap = 0.05 + 0.9 * overlap + 0.1 * rng.normal(size=n)
    root = np.sqrt(np.clip(overlap + 0.1 * rng.normal(size=n), 0, None))
    return np.stack([singlet, singlet - gap, root], axis=1)


def values_of(states: np.ndarray) -> dict[str, np.ndarray]:
    """Objective → values of states (…, 3)."""
    names = ("singlet_energy_ev", "triplet_energy_ev", "sqrt_oscillator_strength")
    properties = {name: states[..., k] for k, name in enumerate(names)}
    return objective_values({}, {}, {}, {"ground": properties})


def labels_of(structures: pd.DataFrame, states: np.ndarray) -> pd.DataFrame:
    """Winning ``labels`` rows, all ok, with two roots of each spin."""
    return pd.DataFrame(
        {
            "structure_id": structures["structure_id"].to_numpy(),
            "level_id": "test",
            "status": "ok",
            "energy_ev": -1.0,
            "error_kind": None,
            "singlet_energies_ev": [[s, s + 1] for s in states[:, 0]],
            "triplet_energies_ev": [[t, t + 1] for t in states[:, 1]],
            "oscillator_strengths": [[r**2, 2.0] for r in states[:, 2]],
            "root_converged": [[True] * 4 for _ in states],
        }
    )


def predictions_of(
    candidates: pd.DataFrame, states: np.ndarray, members: int = 4, spread: float = 0.05
) -> pd.DataFrame:
    """Ok ``predictions``, one row a candidate and objective, of members about ``states``."""
    rng = np.random.default_rng(7)
    drawn = states + spread * rng.normal(size=(members, *states.shape))
    rows = []
    for objective in OBJECTIVES:
        values = values_of(drawn)[objective.name]
        mean, std = values.mean(axis=0), values.std(axis=0, ddof=1)
        rows.append(
            pd.DataFrame(
                {
                    "round": 0,
                    "candidate_id": candidates["candidate_id"].to_numpy(),
                    "objective": objective.name,
                    "unit": objective.unit,
                    "level_id": "0" * 16,
                    "status": "ok",
                    "in_domain": True,
                    "mean": mean,
                    "std_raw": std,
                    "std": 2 * std,
                    "interval_68": [[m - 2 * s, m + 2 * s] for m, s in zip(mean, std, strict=True)],
                    "interval_95": [[m - 4 * s, m + 4 * s] for m, s in zip(mean, std, strict=True)],
                    "members": values.T.tolist(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


N = 40
TABLES = emitter_tables(N)
STATES = true_states(N)
PREDICTIONS = predictions_of(TABLES[0], STATES)
LEVEL = PyscfLevel(engine="pyscf", functional="PBE", basis="def2-SVP")


def labelled(places) -> pd.DataFrame:
    """Values of the candidates at these places."""
    places = list(places)
    rows = TABLES[2].iloc[places]
    return labelled_values(rows, labels_of(rows, STATES[places]), {})


def choose(tmp_path, number, function, goals=GOALS, earlier=None, known=None, predictions=None):
    """The ``selection`` of a round by an acquisition function."""
    settings = Acquisition(
        function=function, seed_labels=16, batch_labels=10, displaced_per_species=0,
        seed_random_share=0.3, random_share=0.2,
    )  # fmt: skip
    out = tmp_path / f"{number}-{function}.parquet", tmp_path / f"{number}-structures.parquet"
    select_batch(
        *TABLES, settings, goals, number, 1,
        empty_table("selection") if earlier is None else earlier,
        predictions, None, known, *out,
    )  # fmt: skip
    return read_table(out[0], "selection")


def figures_of(tmp_path, places, selections, goals=GOALS, calibrated=True):
    """figures.json of a round after the candidates at these places were labelled."""
    receipts = pd.DataFrame(
        {"structure_id": selections["structure_id"], "status": "ok", "error_kind": None}
    )
    assess_round(
        1, *TABLES, PREDICTIONS, selections, receipts, labelled(places), goals, 1,
        tmp_path / "figures.json", tmp_path / "metrics.parquet",
        calibration={"calibrated": calibrated, "objectives": {"singlet_energy": {"scale": 2.0}}},
    )  # fmt: skip
    return json.loads((tmp_path / "figures.json").read_text())


def ranked(tmp_path, goals=GOALS, emission=None, places=range(0, N, 4)):
    """The ``ranking`` of all; three top ones and two controls are confirmed."""
    known = labelled(places)
    files = [tmp_path / f"{name}.parquet" for name in ("hits", "structures", "ranking")]
    minima = TABLES[2].copy()
    confirm = Confirm(level="high", top=3, controls=2)
    select_hits(PREDICTIONS, TABLES[0], TABLES[2], minima, known, confirm, LEVEL, LEVEL, goals, 1,
                1, *files[:2])  # fmt: skip
    hits = read_table(files[0], "selection")
    of_hits = TABLES[2][TABLES[2]["structure_id"].isin(hits["structure_id"])]
    places = [int(i) for i in of_hits.index]
    labels = labels_of(of_hits, STATES[places])
    shifted = labels_of(of_hits, STATES[places] + [0.1, 0.3, 0.0])
    settings = Ranking.model_validate(
        {"confirm": confirm.model_dump(), "photophysics": {"emission": emission}}
    )
    return rank_candidates(
        PREDICTIONS, TABLES[0], known, choose(tmp_path, 0, "diverse"), TABLES[2], minima, hits,
        labels, shifted, {}, {}, LEVEL, settings, goals, 1, files[2],
    )  # fmt: skip
