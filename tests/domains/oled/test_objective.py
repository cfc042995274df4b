"""Objectives of emitters, and a level against theoretical best estimates."""

import json

import numpy as np
import pandas as pd
import pytest

from molsieve.domains.oled.answer import answer_columns
from molsieve.domains.oled.goals import Ranking
from molsieve.domains.oled.objective import calibrate_level, objective_values
from molsieve.tables import read_table


def properties(singlet, triplet, root):
    return {
        "ground": {
            "singlet_energy_ev": np.array(singlet),
            "triplet_energy_ev": np.array(triplet),
            "sqrt_oscillator_strength": np.array(root),
        }
    }


def test_gap_and_strength_by_hand():
    told = objective_values({}, {}, {}, properties([[3.0, 2.5]], [[2.5, 2.6]], [[0.5, -0.1]]))
    np.testing.assert_allclose(told["singlet_triplet_gap"], [[0.5, -0.1]])
    np.testing.assert_allclose(told["oscillator_strength"], [[0.25, 0.0]])
    np.testing.assert_allclose(told["singlet_energy"], [[3.0, 2.5]])


def ranking(**photophysics) -> Ranking:
    return Ranking.model_validate({"confirm": {"level": "x"}, "photophysics": photophysics})


def test_wavelengths_and_rates_of_the_answer():
    best = pd.DataFrame(
        {"singlet_energy": [3.0, -1.0], "oscillator_strength": [0.5, 0.1],
         "singlet_triplet_gap": [0.1, 0.3]}, index=[7, 9],
    )  # fmt: skip
    told = answer_columns(best, ranking())
    assert told.index.tolist() == [7, 9] and told["emission_nm"].isna().all()
    assert told.loc[7, "absorption_nm"] == pytest.approx(413.3, abs=0.1)
    assert np.isnan(told.loc[9, "absorption_nm"])  # an unstable ground state absorbs nothing
    emission = {"stokes_shift_ev": 0.5, "linewidth_ev": 0.4, "calibrated_on": "x"}
    lit = answer_columns(best, ranking(emission=emission))
    assert lit.loc[7, "emission_nm"] == pytest.approx(1239.84 / 2.5, abs=0.1)
    assert lit.loc[7, "radiative_rate_per_s"] == pytest.approx(
        told.loc[7, "radiative_rate_per_s"] * (2.5 / 3.0) ** 2
    )
    slower = answer_columns(best, ranking(spin_orbit_coupling_per_cm=0.1))
    key = "reverse_crossing_rate_per_s"
    np.testing.assert_allclose(slower[key] * 100, told[key])


def test_a_level_is_compared_with_best_estimates(tmp_path):
    species = pd.DataFrame(
        {"species_id": ["a", "b", "c"], "couple": ["formaldehyde", "glyoxal", None]}
    )
    structures = pd.DataFrame(
        {"structure_id": ["1", "2", "3"], "species_id": ["a", "b", "c"],
         "role": ["measured", "measured", "atom"], "numbers": [[6, 8], [6, 8], [8]]}
    )  # fmt: skip
    labels = pd.DataFrame(
        {"structure_id": ["1", "2", "3"], "level_id": "l", "status": ["ok", "failed", "ok"],
         "error_kind": [None, "roots_not_converged", None], "energy_ev": [-1.0, np.nan, -2000.0],
         "singlet_energies_ev": [[4.1, 7.0], None, None],
         "triplet_energies_ev": [[3.4], None, None], 
         "oscillator_strengths": [[0.0, 0.1], None, None],
         "root_converged": [[True] * 3, None, None]}
    )  # fmt: skip
    molecules = pd.DataFrame(
        {"name": ["formaldehyde", "glyoxal", "pyrazine"], "smiles": ["C=O", "O=CC=O", "c1cnccn1"],
         "singlet_ev": [3.98, 2.88, 4.1], "triplet_ev": [3.58, np.nan, 3.6], "source": "QUEST"}
    )  # fmt: skip
    files = tmp_path / "references.parquet", tmp_path / "calibration.json"
    calibrate_level(species, structures, labels, molecules, "l", *files)
    told = json.loads(files[1].read_text())
    assert told["n"] == 1 and told["failed"] == {"glyoxal": "roots_not_converged"}
    assert told["singlet_mae_ev"] == pytest.approx(0.12)
    assert told["triplet_mae_ev"] == pytest.approx(0.18)
    assert told["atom_energies_ev"] == {"8": -2000.0}
    rows = read_table(files[0], "references").set_index("name")
    assert rows.index.tolist() == ["formaldehyde S1", "glyoxal S1", "formaldehyde T1"]
    assert rows.loc["formaldehyde T1", "computed"] == 3.4 and not rows["used"].any()
