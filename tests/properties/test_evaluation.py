import numpy as np
import pandas as pd
import pytest

from molsieve import tables
from molsieve.chem.identities import structure_row
from molsieve.potential.spread_model import MIN_GROUPS
from molsieve.properties.committee import PropertyCommittee
from molsieve.properties.evaluation import calibrated_properties, evaluate_properties
from tests.properties.conftest import CHEAP, NAMES, label

SPREADS = np.array([[-1.0], [0.0], [1.0]])


class KnownCommittee(PropertyCommittee):
    """Members that are wrong by known amounts: their spread is half of their error."""

    def __init__(self, errors):
        self.names, self.level_id, self.level_ids = NAMES, CHEAP, [CHEAP]
        self.errors = errors

    def __call__(self, batch, level_id=None):
        import torch

        # The x of the first atom tells which structure it is.
        first = np.unique(batch.structure.numpy(), return_index=True)[1]
        number = np.rint(batch.positions.numpy()[first, 0]).astype(int)
        mean, spread = 4.0 + self.errors[number], 0.5 * np.abs(self.errors[number])
        return {name: torch.from_numpy(mean + SPREADS * spread) for name in NAMES}


@pytest.fixture
def known():
    """Errors, and tables of 60 hydrogen molecules whose S1, T1 and square root of f are 4."""
    import ase

    rng = np.random.default_rng(0)
    errors = rng.normal(size=60) * rng.uniform(0.1, 1.0, size=60)
    structures, labels, dataset = [], [], []
    for number in range(60):
        atoms = ase.Atoms("H2", [[number, 0, 0], [number, 0, 0.7]])
        row = structure_row(
            atoms, species_id=str(number), origin="relaxed", geometry_protocol_id="test"
        )
        structures.append(row)
        values = {
            "singlet_energies_ev": [4.0], "triplet_energies_ev": [4.0] if number % 3 else None,
            "oscillator_strengths": [16.0], "root_converged": None,
        }  # fmt: skip
        labels.append(label(row["structure_id"], CHEAP, values))
        split = ("calibration", "test")[number % 2]
        dataset.append({"structure_id": row["structure_id"], "split": split, "group": str(number)})
    return errors, pd.DataFrame(dataset), pd.DataFrame(structures), pd.DataFrame(labels)


def test_spreads_are_scaled_to_the_errors_and_judged_on_test(known):
    errors, *frames = known
    metrics, fitted = evaluate_properties(KnownCommittee(errors), *frames, round=0, seed=1)
    assert set(fitted) == set(NAMES)
    model = fitted["singlet_energy_ev"]
    assert model["weights"]["spread"] == pytest.approx(4.0, rel=0.05)
    assert (model["n"], model["groups"]) == (30, 30)
    assert fitted["triplet_energy_ev"]["n"] == 20
    rows = {(row["split"], row["name"]): row for row in metrics}
    test = rows["test", "property_singlet_energy_mae"]
    assert test["value"] == pytest.approx(np.abs(errors[1::2]).mean())
    assert test["unit"] == "eV"
    assert rows["test", "property_triplet_energy_mae"]["n"] == 20
    assert rows["test", "property_singlet_energy_coverage_95"]["value"] == 1.0
    assert rows["test", "property_sqrt_oscillator_strength_mae"]["unit"] == "1"


def test_rows_keep_the_contract_of_metrics(known, tmp_path):
    errors, *frames = known
    metrics, fitted = evaluate_properties(KnownCommittee(errors), *frames, round=0, seed=1)
    tables.write_table(metrics, "metrics", tmp_path / "metrics.parquet")
    tables.write_json(fitted, tmp_path / "calibration.json")


def test_calibrated_intervals_of_a_prediction(known):
    errors, *frames = known
    _, fitted = evaluate_properties(KnownCommittee(errors), *frames, round=0, seed=1)
    members = {"singlet_energy_ev": 3.0 + 0.5 * SPREADS, "unknown": SPREADS}
    told = calibrated_properties(members, fitted)
    assert set(told) == {"singlet_energy_ev"}
    one = told["singlet_energy_ev"]
    assert one.mean == pytest.approx(3.0)
    assert one.std == pytest.approx(1.0, rel=0.05)
    assert one.half_68 < one.half_95


def test_too_few_groups_are_not_calibrated_on(known):
    errors, dataset, structures, labels = known
    few = dataset.iloc[: 2 * MIN_GROUPS - 2]
    _, fitted = evaluate_properties(
        KnownCommittee(errors), few, structures, labels, round=0, seed=1
    )
    assert not fitted["singlet_energy_ev"]["q95_conformal"]
    assert fitted["singlet_energy_ev"]["measures"] == []


def test_other_levels_and_failed_labels_do_not_judge(known):
    errors, dataset, structures, labels = known
    labels = labels.assign(level_id=["other"] * 20 + [CHEAP] * 40)
    labels["status"] = ["ok"] * 30 + ["failed"] * 10 + ["ok"] * 20
    metrics, _ = evaluate_properties(KnownCommittee(errors), dataset, structures, labels, 0, 1)
    rows = {(row["split"], row["name"]): row["n"] for row in metrics}
    assert rows["test", "property_singlet_energy_mae"] == 15
