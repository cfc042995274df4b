from pathlib import Path

import pytest

from molsieve.loading import load_mapping, read_yaml
from molsieve.property_settings import check_fidelity, fidelity_of, objective_level
from molsieve.section import CampaignError

CONFIG = Path(__file__).parents[1] / "config"


@pytest.fixture
def oled():
    return read_yaml(CONFIG / "oled.yaml")


def loaded(content, **fidelity):
    content = {**content, "properties": {"fidelity": fidelity} if fidelity else {}}
    return load_mapping(content)


def test_objectives_are_at_the_level_that_labels(oled):
    campaign = loaded(oled).model_dump(mode="json")
    assert fidelity_of(campaign) is None
    assert objective_level(campaign) == oled["labels"]["level"]


def test_a_better_level_takes_over(oled):
    campaign = loaded(oled, level="cam_b3lyp", share=0.2)
    assert objective_level(campaign.model_dump(mode="json")) == "cam_b3lyp"
    check_fidelity(campaign)


@pytest.mark.parametrize("level", ["b3lyp", "nonsense"])
def test_a_level_that_is_no_better_one_is_refused(oled, level):
    with pytest.raises(CampaignError) as told:
        check_fidelity(loaded(oled, level=level))
    assert f"properties.fidelity.level: '{level}' is no better level than labels.level" in str(
        told.value
    )
    assert "allowed: cam_b3lyp" in str(told.value)


def test_a_level_without_excited_states_is_refused(oled):
    levels = {**oled["levels"], "ground": {"engine": "tblite"}}
    with pytest.raises(CampaignError, match=r"add excitations: to levels\.ground"):
        check_fidelity(loaded({**oled, "levels": levels}, level="ground"))


def test_other_domains_have_no_such_section():
    campaign = load_mapping(read_yaml(CONFIG / "quickstart.yaml"))
    check_fidelity(campaign)
    assert not hasattr(campaign, "properties")
    assert objective_level(campaign.model_dump(mode="json")) == campaign.labels.level
