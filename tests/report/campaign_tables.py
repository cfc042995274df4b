"""A small finished campaign in tables that keep their contracts, for the page and for status."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molsieve.chem.identities import candidate_id
from molsieve.domains.flow_battery.config import Campaign
from molsieve.report import ReportFiles
from molsieve.tables import write_json, write_table

GROUPS = ["C", "O", "N", "OC", "F", "Cl", "C#N", "CC", "CO", "S(=O)(=O)O", "C(=O)O", "N(C)C"]
OBJECTIVE = {"objective": "redox_potential", "unit": "V", "level_id": "l" * 16}


def campaign(**changes) -> Campaign:
    """A minimal valid campaign, every default filled in."""
    mapping = {
        "campaign": "tiny",
        "domain": "flow_battery",
        "candidates": {
            "source": {
                "kind": "enumerate",
                "scaffolds": [{"name": "bq", "smiles": "O=C1C([*:1])=C([*:2])C(=O)C=C1"}],
                "substituents": [f"*{g}" for g in GROUPS],
            }
        },
        "objective": {"direction": "posolyte"},
        "levels": {
            "xtb": {"engine": "tblite"},
            "dft": {"engine": "pyscf", "functional": "PBE", "basis": "def2-SVP"},
        },
        "labels": {"level": "xtb"},
        "ranking": {"confirm": {"level": "dft"}, "pareto": ["log_solubility"]},
    }
    return Campaign.model_validate({**mapping, **changes})


def smiles() -> list[str]:
    """Thirty-six distinct quinones."""
    first = [f"O=C1C=CC(=O)C({g})=C1" for g in GROUPS]
    second = [f"O=C1C=C({g})C(=O)c2ccccc21" for g in GROUPS]
    third = [f"O=C1C=C({g})C(=O)C({g})=C1" for g in GROUPS]
    return first + second + third


def write_campaign(root: Path, rounds: int = 3, held_out: bool = True) -> ReportFiles:
    """Write a campaign's tables below ``root`` (results/<campaign>) and name them."""
    rng = np.random.default_rng(7)
    names = smiles()
    ids = [candidate_id(s) for s in names]
    truth = rng.normal(0.6, 0.25, len(ids))
    candidates = _candidates(root, names, ids, rng)
    selections, parity, figures, metrics = [], [], [], []
    for r in range(rounds):
        folder = root / f"rounds/{r}"
        reasons = ["seed", "random"] if r == 0 else ["acquired", "acquired", "random", "attack"]
        rows = [
            {
                "round": r,
                "structure_id": f"s{r}-{i}",
                "species_id": f"p{i}",
                "reason": reasons[i % len(reasons)],
                "group": ids[(5 * r + i) % len(ids)],
                "candidate_id": ids[(5 * r + i) % len(ids)],
            }
            for i in range(12)
        ]
        selections.append(_write(rows, "selection", folder / "selection.parquet"))
        _write([structure(row) for row in rows], "structures", folder / "structures.parquet")
        parity.append(_parity(folder, r, ids, truth, rng, held_out))
        figures.append(folder / "figures.json")
        write_json(
            _round_figures(r),
            figures[-1],
        )
        metrics.append(_write(_metrics(r, held_out), "metrics", folder / "metrics.parquet"))
    last = root / f"rounds/{rounds - 1}"
    return ReportFiles(
        ranking=_ranking(last, rounds - 1, names, ids, truth, rng),
        candidates=[candidates],
        species=[_species(root, names, ids)],
        predictions=[_predictions(last, rounds - 1, ids, truth)],
        selections=selections,
        metrics=metrics,
        figures=figures,
        parity=parity,
        dataset=_dataset(last, rounds - 1, ids),
        receipts=[_receipts(last)],
        references={"xtb": _references(root, rng)},
        reference_calibrations={"xtb": _fit(root)},
    )


def _write(rows: list[dict], name: str, path: Path) -> Path:
    write_table(rows, name, path, campaign="tiny")
    return path


def structure(selected: dict) -> dict:
    """A geometry for a row of ``selection``: water, whatever the species."""
    return {
        **{key: selected[key] for key in ("structure_id", "species_id", "candidate_id")},
        "conformer": 0,
        "geometry_protocol_id": "protocol",
        "numbers": [8, 1, 1],
        "positions_angstrom": [0.0, 0.0, 0.0, 0.0, 0.76, 0.59, 0.0, -0.76, 0.59],
        "cell_angstrom": [0.0] * 9,
        "pbc": [False] * 3,
        "charge_e": 0,
        "multiplicity": 1,
        "origin": "built",
        "role": "oxidised",
    }


def _round_figures(r: int) -> dict:
    """As assess_round writes them."""
    return {
        "round": r,
        "n_candidates": 36,
        "n_labelled_candidates": 12 + 8 * r,
        "calibrated": True,
        "n_unlabelled": 24 - 8 * r,
        "n_selectable": 24 - 8 * r,
        "labels_attempted_total": 12 * (r + 1),
        "labels_failed_by_kind": {"scf_not_converged": 1},
        "best_candidate_id": "abc",
        "expected_missed": [3.0 / (k * (r + 1) ** 2) for k in range(1, 11)] + [None],
        "random_test_mae": 0.2 / (r + 1),
        "random_test_mae_interval": [0.1 / (r + 1), 0.3 / (r + 1)],
    }


def _metrics(r: int, held_out: bool) -> list[dict]:
    """As evaluate_committee writes them; without values where nothing is held out."""
    values = {"objective_mae": 0.2, "objective_std": 0.15, "coverage_68": 0.7, "coverage_95": 0.9}
    return [
        {
            "round": r,
            "split": "test",
            "name": name,
            "unit": "V" if name.startswith("objective") else "1",
            "n": 12 if held_out else 0,
            "value": value / (r + 1) if held_out else None,
            "interval": [0.5 * value / (r + 1), 1.1 * value / (r + 1)] if held_out else None,
        }
        for name, value in values.items()
    ]


def _candidates(root: Path, names, ids, rng) -> Path:
    rows = [
        {
            "candidate_id": c,
            "identifier": s,
            "status": "accepted",
            "source": "bq",
            "log_solubility": float(rng.normal(-2, 0.8)),
            "sa_score": float(rng.uniform(2, 4)),
            "synthesizability": float(rng.uniform(0.5, 0.9)),
        }
        for s, c in zip(names, ids, strict=True)
    ]
    for i, reason in enumerate(["too_many_heavy_atoms"] * 5 + ["alert: <peroxide>"] * 2):
        row = {"candidate_id": f"r{i}", "identifier": f"OO{'C' * i}", "status": "rejected"}
        rows.append({**row, "source": "bq", "reject_reason": reason})
    return _write(rows, "candidates", root / "candidates/0.parquet")


def _species(root: Path, names, ids) -> Path:
    rows = [
        {
            "species_id": f"{role}{i}",
            "role": role,
            "identifier": s,
            "charge_e": 0,
            "multiplicity": 1,
            "status": "failed" if i == 3 and role == "reduced" else "ok",
            "candidate_id": c,
            "error_kind": "embedding_failed" if i == 3 and role == "reduced" else None,
            "error_message": "no conformer <b>after</b> 50 tries" if i == 3 else None,
        }
        for i, (s, c) in enumerate(zip(names, ids, strict=True))
        for role in ("oxidised", "reduced")
    ]
    return _write(rows, "species", root / "structures/0/species.parquet")


def _parity(folder: Path, r: int, ids, truth, rng, held_out: bool) -> Path:
    std = 0.15 / (r + 1)
    rows = []
    for i, (c, value) in enumerate(zip(ids, truth, strict=True)):
        split = ["train", "calibration", "test"][i % 3] if held_out else "train"
        mean = float(value + rng.normal(0, std))
        rows.append(
            {
                "round": r,
                "candidate_id": c,
                **OBJECTIVE,
                "split": split,
                "label_value": float(value),
                "mean": mean,
                "std_raw": std / 2,
                "std": std,
                "interval_68": [mean - std, mean + std],
                "interval_95": [mean - 2 * std, mean + 2 * std],
            }
        )
    return _write(rows, "parity", folder / "evaluation/parity.parquet")


def _predictions(folder: Path, r: int, ids, truth) -> Path:
    rows = [
        {
            "round": r,
            "candidate_id": c,
            **OBJECTIVE,
            "status": "failed" if i == 3 else "ok",
            "in_domain": True,
            "mean": None if i == 3 else float(v),
            "std": 0.05,
            "reason": "species_failed" if i == 3 else None,
        }
        for i, (c, v) in enumerate(zip(ids, truth, strict=True))
    ]
    return _write(rows, "predictions", folder / "predictions/0/predictions.parquet")


def _ranking(folder: Path, r: int, names, ids, truth, rng) -> Path:
    order = sorted(range(len(ids)), key=lambda i: -truth[i])
    rows = []
    for rank, i in enumerate(order, start=1):
        mean = float(truth[i] + rng.normal(0, 0.05))
        row = {
            "rank": rank,
            "round": r,
            "candidate_id": ids[i],
            "identifier": names[i],
            "objective": "redox_potential",
            "unit": "V",
            "flags": ["out_of_domain"] if rank == 4 else [],
            "mean": mean,
            "std": 0.05,
            "interval_95": [mean - 0.1, mean + 0.1],
            "pareto_front": 1 if rank % 7 == 1 else 2,
            "log_solubility": float(rng.normal(-2, 0.8)),
            "synthesizability": float(rng.uniform(0.5, 0.9)),
            "sa_score": float(rng.uniform(2, 4)),
            "in_domain": rank != 4,
        }
        if rank <= 3 or rank in (17, 22):
            row |= {
                "confirmed_value": float(truth[i]),
                "confirmed_protocol": "single point on the committee's minimum",
                "model_error": 0.03,
                "geometry_error": None,
                "level_error": -0.02,
                "why_confirmed": "top" if rank <= 3 else "control",
                "label_value": float(truth[i]) + 0.02,
            }
        rows.append(row)
    return _write(rows, "ranking", folder / "ranking.parquet")


def _dataset(folder: Path, r: int, ids) -> Path:
    rows = [
        {
            "round": r,
            "structure_id": f"s{i}",
            "level_id": "l" * 16,
            "species_id": f"p{i}",
            "split": "train",
            "group": ids[i % len(ids)],
            "why": "seed",
            "candidate_id": ids[i % len(ids)],
        }
        for i in range(30)
    ]
    return _write(rows, "dataset", folder / "dataset/dataset.parquet")


def _receipts(folder: Path) -> Path:
    rows = [
        {
            "structure_id": f"s{i}",
            "level_id": "l" * 16,
            "attempt_id": f"a{i}",
            "status": "failed" if i == 5 else "ok",
            "error_kind": "scf_not_converged" if i == 5 else None,
            "error_message": "SCF not converged in 100 cycles" if i == 5 else None,
        }
        for i in range(12)
    ]
    return _write(rows, "receipt", folder / "receipts/0.parquet")


def _references(root: Path, rng) -> Path:
    rows = []
    for i in range(14):
        measured = 0.1 + 0.05 * i
        rows.append(
            {
                "level_id": "l" * 16,
                "name": f"couple {i}",
                "identifier": smiles()[i],
                "unit": "V",
                "source": "Clark 1960",
                "measured": measured,
                "computed": 0.6 + 1.1 * measured + float(rng.normal(0, 0.04)),
                "fitted": measured + 0.01,
                "left_out": measured + 0.02 * (-1) ** i,
                "used": i < 12,
                "grade": "A",
            }
        )
    return _write(rows, "references", root / "references/xtb/references.parquet")


def _fit(root: Path) -> Path:
    path = root / "references/xtb/calibration.json"
    write_json({"slope": 0.91, "intercept_v": -0.55, "loo_mae_v": 0.02, "n": 12}, path)
    return path
