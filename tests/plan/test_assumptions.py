"""What a plan says of the prices of excited states."""

from pathlib import Path

import pandas as pd
import pytest

from molsieve.labelling.cost import CostModel
from molsieve.loading import load_campaign
from molsieve.plan import assumptions
from molsieve.plan.pricing import Space, look_at_space
from molsieve.prices import ROOT_ATOMS
from tests.report.campaign_tables import campaign

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def demo() -> tuple:
    loaded = load_campaign(CONFIG / "demo_oled.yaml")
    return loaded, look_at_space(loaded)


def test_roots_are_priced_by_a_measured_share_and_said_so(demo):
    (said,) = assumptions.excited_states(*demo)
    assert said.startswith("excited states at pbe0, cam_b3lyp: a root costs a share")
    assert "(8% with TDA), measured on 12 to 33 atoms;" in said
    assert said in assumptions.assumptions(*demo)


def test_larger_molecules_are_extrapolated(demo):
    loaded, space = demo
    large = Space(**{**vars(space), "numbers": [[6] * (2 * ROOT_ATOMS[1])]})
    (said,) = assumptions.excited_states(loaded, large)
    assert "12 to 33 atoms, extrapolated to 66;" in said


def test_what_has_timings_rests_on_no_share(demo, monkeypatch):
    loaded, space = demo
    rows = pd.DataFrame(
        {"status": "ok", "wall_s": 10.0, "cores": 1, "valence_electrons": range(30, 50)}
    )
    model = CostModel.from_labels({loaded.level("pbe0"): rows})
    monkeypatch.setattr(assumptions, "cost_model", lambda campaign: model)
    (said,) = assumptions.excited_states(loaded, space)
    assert said.startswith("excited states at cam_b3lyp:")


def test_a_campaign_without_excited_states_is_told_nothing_of_them(demo):
    assert assumptions.excited_states(campaign(), demo[1]) == []
