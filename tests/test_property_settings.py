from pathlib import Path

import pytest

from molsieve.loading import load_mapping, read_yaml
from molsieve.property_settings import (
    check_descriptors,
    check_fidelity,
    fidelity_of,
    objective_level,
)
from molsieve.section import CampaignError

CONFIG = Path(__file__).parents[1] / "config"


@pytest.fixture
def oled():
    return read_yaml(CONFIG / "demo_oled.yaml")


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


@pytest.mark.parametrize("level", ["pbe0", "nonsense"])
def test_a_level_that_is_no_better_one_is_refused(oled, level):
    with pytest.raises(CampaignError) as told:
        check_fidelity(loaded(oled, level=level))
    assert f"properties.fidelity.level: '{level}' is no better level than labels.level" in str(
        told.value
    )
    assert "allowed: cam_b3lyp" in str(told.value)


def test_a_level_without_excited_states_is_refused(oled):
    levels = {**oled["levels"], "ground": {"engine": "tblite"}}
    with pytest.raises(CampaignError, match=r"'ground' computes no excited states; .*pyscf"):
        check_fidelity(loaded({**oled, "levels": levels}, level="ground"))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"excitations": {"singlets": 3, "triplets": 0}}, "excitations.triplets: 0; allowed: 1 or"),
        ({"excitations": {"singlets": 0, "triplets": 3}}, "excitations.singlets: 0; allowed: 1 or"),
        ({"geometry": "optimised"}, "geometry: optimised; allowed: single_point"),
    ],
)
def test_a_better_level_of_other_states_or_geometries_is_refused(oled, setting, said):
    levels = {**oled["levels"], "better": {**oled["levels"]["cam_b3lyp"], **setting}}
    with pytest.raises(CampaignError) as told:
        check_fidelity(loaded({**oled, "levels": levels}, level="better"))
    assert f"properties.fidelity.level: 'better' has {said}" in str(told.value)


def test_descriptors_end_at_chlorine(oled):
    numbers = {"C": 6, "Cl": 17, "Br": 35, "I": 53}
    with pytest.raises(CampaignError, match=r"descriptors: orbitals given, but .* Br, I;"):
        check_descriptors(loaded(oled), numbers)
    check_descriptors(loaded(oled), {"C": 6, "Cl": 17})
    check_descriptors(load_mapping({**oled, "properties": {"descriptors": "none"}}), numbers)


def test_other_domains_have_no_such_section():
    campaign = load_mapping(read_yaml(CONFIG / "quickstart.yaml"))
    check_fidelity(campaign)
    check_descriptors(campaign, {"I": 53})
    assert not hasattr(campaign, "properties")
    assert objective_level(campaign.model_dump(mode="json")) == campaign.labels.level
