import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve.labelling.cost import (
    CostModel,
    PowerLaw,
    computed_electrons,
    default_law,
    fitted_law,
    valence_electrons,
)
from molsieve.levels import PyscfLevel, TbliteLevel, level_id

GFN2 = TbliteLevel(engine="tblite")
PBE = PyscfLevel(engine="pyscf", functional="PBE", basis="def2-SVP")


def timings(electrons, law):
    return pd.DataFrame(
        {
            "status": "ok",
            "wall_s": [law(n) for n in electrons],
            "cores": 1,
            "valence_electrons": electrons,
        }
    )


@pytest.mark.parametrize(
    "number, valence",
    [(1, 1), (2, 2), (6, 4), (8, 6), (14, 4), (17, 7), (26, 8), (31, 3), (35, 7), (53, 7), (82, 4)],
)
def test_valence_electrons_of_the_periodic_table(number, valence):
    assert valence_electrons([number]) == valence


@given(st.lists(st.integers(1, 100), min_size=1), st.sampled_from([GFN2, PBE]))
def test_costs_are_positive_and_grow_with_the_molecule(numbers, level):
    cost = CostModel()
    smaller = cost.predicted_cost_s(numbers, level)
    assert 0 < smaller < cost.predicted_cost_s([*numbers, 6], level)


def test_benzoquinone_costs_what_was_measured_within_a_factor_of_three():
    benzoquinone = [6] * 6 + [1] * 4 + [8] * 2
    assert CostModel().predicted_cost_s(benzoquinone, GFN2) == pytest.approx(0.012, rel=1)
    assert 5 < CostModel().predicted_cost_s(benzoquinone, PBE) < 30


def test_optimised_geometries_and_larger_bases_cost_more():
    benzoquinone = [6] * 6 + [1] * 4 + [8] * 2
    single = CostModel().predicted_cost_s(benzoquinone, PBE)
    optimised = PBE.model_copy(update={"geometry": "optimised"})
    larger = PBE.model_copy(update={"basis": "def2-TZVP"})
    assert CostModel().predicted_cost_s(benzoquinone, optimised) > 5 * single
    assert CostModel().predicted_cost_s(benzoquinone, larger) > 2 * single


def test_a_repeated_cell_costs_what_its_copies_do():
    wide = GFN2.model_copy(update={"min_cell_angstrom": 10.0})
    cell = {"numbers": [14, 8, 8], "pbc": [True] * 3, "cell_angstrom": [5, 0, 0, 0, 10, 0, 0, 0, 4]}
    assert computed_electrons(cell, GFN2) == 16
    assert computed_electrons(cell, wide) == 16 * 6
    assert computed_electrons({**cell, "pbc": [False] * 3}, wide) == 16
    assert computed_electrons({**cell, "cell_angstrom": [0.0] * 9}, wide) == 16
    frame = pd.DataFrame([cell])
    copies = pd.DataFrame([{**cell, "numbers": cell["numbers"] * 6}])
    assert CostModel().predicted_costs_s(frame, wide) == pytest.approx(
        CostModel().predicted_costs_s(copies, GFN2)
    )


def test_fit_recovers_a_power_law():
    law = PowerLaw(3e-4, 2.7)
    found = fitted_law(timings([20, 30, 40, 50, 60, 80, 100, 120], law), default_law(GFN2))
    assert found.exponent == pytest.approx(2.7)
    assert found.prefactor_s == pytest.approx(3e-4)


def test_too_few_or_failed_timings_leave_the_default():
    default = default_law(GFN2)
    rows = timings(np.arange(20, 28), PowerLaw(1.0, 1.0))
    assert fitted_law(rows.iloc[:7], default) == default
    rows.loc[0, "status"] = "failed"
    assert fitted_law(rows, default) == default


def test_timings_of_one_size_fix_the_prefactor_only():
    found = fitted_law(timings([40] * 10, PowerLaw(0.5, 0.0)), default_law(PBE))
    assert found.exponent == default_law(PBE).exponent
    assert found(40) == pytest.approx(0.5)


def test_levels_do_not_mix():
    model = CostModel.from_labels({GFN2: timings([20, 30, 40, 50] * 2, PowerLaw(7.0, 1.0))})
    assert model.predicted_cost_s([6], GFN2) == pytest.approx(28.0)
    assert model.predicted_cost_s([6], PBE) == CostModel().predicted_cost_s([6], PBE)
    assert set(model.fitted) == {level_id(GFN2)}
