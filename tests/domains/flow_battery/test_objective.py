"""The potential, its calibration against an independent fit, and the objective's directions."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.domains.flow_battery.calibration import fit_line
from molsieve.domains.flow_battery.config import Objective
from molsieve.domains.flow_battery.objective import (
    calibrate_level,
    labelled_values,
    objective_values,
    potential_v,
    utility,
)
from molsieve.section import CampaignError
from molsieve.tables import read_table
from tests.acquisition.tables_of_a_campaign import candidate_tables, ok_labels

POSOLYTE = Objective(direction="posolyte")
NEGOLYTE = Objective(direction="negolyte")
WINDOW = Objective(direction="window", window_v=(0.2, 0.6))
H2_EV = -31.7
volts = st.floats(-3, 3)


def test_potential_is_half_the_energy_released():
    # A couple that releases 1.4 eV on taking up H2 stands 0.7 V above SHE.
    assert potential_v(-1000.0, -1000.0 + H2_EV - 1.4, H2_EV) == pytest.approx(0.7)
    assert potential_v(-1000.0, -1000.0 + H2_EV - 1.4, H2_EV, 0.5, 0.1) == pytest.approx(0.45)


def test_potential_takes_arrays_of_any_shape():
    rng = np.random.default_rng(0)
    oxidised, reduced = rng.normal(size=(2, 4, 5))
    all_at_once = potential_v(oxidised, reduced, -1.0, 0.8, 0.2)
    assert all_at_once.shape == (4, 5)
    one = potential_v(oxidised[2, 3], reduced[2, 3], -1.0, 0.8, 0.2)
    assert all_at_once[2, 3] == pytest.approx(float(one))


def test_only_differences_of_species_matter():
    calibration = {"h2_energy_ev": H2_EV, "slope": 0.7, "intercept_v": -0.1}
    shifted, plain = (
        objective_values(dict.fromkeys(("oxidised", "reduced"), np.array([energy])), calibration)
        for energy in (5.0, 0.0)
    )
    np.testing.assert_allclose(shifted, plain)


@given(value=volts)
def test_utility_directions(value):
    assert utility(value, POSOLYTE) == value
    assert utility(value, NEGOLYTE) == -value
    inside = 0.2 <= value <= 0.6
    assert utility(value, WINDOW) == (0 if inside else -min(abs(value - 0.2), abs(value - 0.6)))


def test_unknown_values_stay_unknown():
    for objective in (POSOLYTE, NEGOLYTE, WINDOW):
        assert np.isnan(utility(np.nan, objective))


def test_fit_and_left_out_errors_are_those_of_refitting():
    rng = np.random.default_rng(7)
    computed = rng.uniform(0.5, 1.6, 14)
    measured = 0.7 * computed - 0.3 + rng.normal(scale=0.05, size=14)
    fit = fit_line(computed, measured)
    slope, intercept = np.polyfit(computed, measured, 1)
    assert (fit["slope"], fit["intercept_v"]) == pytest.approx((slope, intercept))
    _, covariance = np.polyfit(computed, measured, 1, cov=True)
    assert fit["slope_standard_error"] == pytest.approx(np.sqrt(covariance[0, 0]))
    assert fit["intercept_standard_error_v"] == pytest.approx(np.sqrt(covariance[1, 1]))
    left_out = []
    for i in range(14):
        others = np.arange(14) != i
        left_out.append(np.polyval(np.polyfit(computed[others], measured[others], 1), computed[i]))
    np.testing.assert_allclose(fit["left_out"], left_out)
    errors = np.abs(measured - left_out)
    assert fit["loo_mae_v"] == pytest.approx(errors.mean())
    assert fit["loo_max_v"] == pytest.approx(errors.max())
    assert (fit["lowest_measured_v"], fit["highest_measured_v"]) == (measured.min(), measured.max())
    assert fit["loo_rmse_v"] == pytest.approx(np.sqrt((errors**2).mean()))


def test_a_line_needs_a_spread():
    with pytest.raises(ValueError, match="three points"):
        fit_line(np.ones(12), np.arange(12.0))


def reference_tables(n, slope=0.8, intercept=-0.25):
    """Couples whose uncalibrated potentials are known, H2 and two free atoms."""
    computed = np.linspace(0.2, 1.5, n)
    species, structures, labels, couples = [], [], [], []

    def add(name, role, energy, couple=None, numbers=(1, 1)):
        species.append({"species_id": f"s-{name}-{role}", "couple": couple, "role": "reference"})
        structures.append(
            {
                "structure_id": f"x-{name}-{role}",
                "species_id": f"s-{name}-{role}",
                "role": role,
                "numbers": list(numbers),
            }
        )
        labels.append(
            {
                "structure_id": f"x-{name}-{role}",
                "status": "ok",
                "energy_ev": energy,
                "error_kind": None,
            }
        )

    for i, value in enumerate(computed):
        add(f"c{i}", "oxidised", -100.0 - i, f"c{i}")
        add(f"c{i}", "reduced", -100.0 - i + H2_EV - 2 * value, f"c{i}")
        couples.append(
            {
                "name": f"c{i}",
                "smiles": f"Q{i}",
                "potential_v": slope * value + intercept + (0.01 if i % 2 else -0.01),
                "grade": "A",
                "source": "made up",
            }
        )
    add("hydrogen", "dihydrogen", H2_EV)
    add("H", "atom", -13.6, numbers=(1,))
    add("C", "atom", -1030.0, numbers=(6,))
    return tuple(pd.DataFrame(rows) for rows in (species, structures, labels, couples)), computed


def calibrate(tables, folder):
    species, structures, labels, couples = tables
    return calibrate_level(
        species,
        structures,
        labels,
        couples,
        "f" * 16,
        folder / "references.parquet",
        folder / "calibration.json",
        "test",
    )


def test_calibration_finds_slope_and_intercept(tmp_path):
    tables, computed = reference_tables(12)
    found = calibrate(tables, tmp_path)
    assert found["slope"] == pytest.approx(0.8, abs=0.02)
    assert found["intercept_v"] == pytest.approx(-0.25, abs=0.02)
    assert found["n"] == 12
    assert found["h2_energy_ev"] == H2_EV
    assert found["atom_energies_ev"] == {"1": -13.6, "6": -1030.0}
    assert json.loads((tmp_path / "calibration.json").read_text()) == found
    table = read_table(tmp_path / "references.parquet", "references")
    np.testing.assert_allclose(table["computed"], computed)
    assert table["used"].all()
    assert np.abs(table["left_out"] - table["measured"]).mean() == pytest.approx(found["loo_mae_v"])


def test_a_failed_couple_is_listed_and_left_out(tmp_path):
    (species, structures, labels, couples), _ = reference_tables(12)
    failed = labels["structure_id"] == "x-c3-reduced"
    labels.loc[failed, ["status", "energy_ev", "error_kind"]] = [
        "failed",
        np.nan,
        "scf_not_converged",
    ]
    found = calibrate((species, structures, labels, couples), tmp_path)
    assert found["n"] == 11
    assert found["failed"] == {"c3": "reduced: scf_not_converged"}
    table = read_table(tmp_path / "references.parquet", "references").set_index("name")
    assert not table.loc["c3", "used"]
    assert np.isnan(table.loc["c3", "computed"])


def test_too_few_couples_are_refused_by_name(tmp_path):
    (species, structures, labels, couples), _ = reference_tables(11)
    labels = labels[~labels["structure_id"].isin(["x-c2-oxidised", "x-c5-reduced"])]
    with pytest.raises(CampaignError, match=r"9 of 11.*c2 \(oxidised: no label\).*c5 \(reduced"):
        calibrate((species, structures, labels, couples), tmp_path)
    assert not (tmp_path / "calibration.json").exists()


def test_couples_not_asked_for_are_left_aside(tmp_path):
    (species, structures, labels, couples), _ = reference_tables(14)
    asked = species[~species["couple"].isin(["c0", "c13"])]
    found = calibrate((asked, structures, labels, couples), tmp_path)
    assert found["n"] == 12
    assert found["failed"] == {}


def test_without_hydrogen_there_is_no_potential(tmp_path):
    (species, structures, labels, couples), _ = reference_tables(11)
    labels = labels[labels["structure_id"] != "x-hydrogen-dihydrogen"]
    with pytest.raises(CampaignError, match="H2 has no label"):
        calibrate((species, structures, labels, couples), tmp_path)


def test_a_level_that_orders_couples_wrongly_is_refused(tmp_path):
    tables, _ = reference_tables(12, slope=-0.5)
    with pytest.raises(CampaignError, match="wrongly"):
        calibrate(tables, tmp_path)


def test_labelled_values_need_both_species():
    _, _, structures = candidate_tables(4)
    calibration = {"h2_energy_ev": -30.0, "slope": 1.0, "intercept_v": 0.0}
    energies = np.where(structures["role"] == "oxidised", -100.0, -131.0)
    labels = ok_labels(structures, energies)
    values = labelled_values(structures, labels, calibration)
    assert len(values) == 4
    np.testing.assert_allclose(values["value"], 0.5)
    labels.loc[0, "status"] = "failed"
    fewer = labelled_values(structures, labels.drop(index=3), calibration)
    assert set(fewer["candidate_id"]) == set(structures["candidate_id"].iloc[4:])


def test_displaced_structures_are_not_observations():
    _, _, structures = candidate_tables(2)
    labels = ok_labels(structures, np.zeros(4))
    displaced = structures.assign(origin="displaced")
    calibration = {"h2_energy_ev": -30.0, "slope": 1.0, "intercept_v": 0.0}
    assert labelled_values(displaced, labels, calibration).empty
