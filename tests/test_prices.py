"""Prices of units of work: they grow as the work does."""

import pytest

from molsieve.campaign import Potential
from molsieve.domains.flow_battery.config import Structures
from molsieve.levels import Excitations, PyscfLevel, TbliteLevel, parse_level
from molsieve.loading import load_campaign
from molsieve.prices import (
    CONFORMER_S,
    CP2K_CUTOFF_RY,
    CP2K_S,
    OPTIMISER_STEPS,
    RELAXATION_STEPS,
    building_s,
    default_law,
    description_s,
    valence_electrons,
    width,
)

GFN2 = TbliteLevel(engine="tblite")


@pytest.mark.parametrize(
    ("numbers", "electrons"),
    [([1], 1), ([6, 1, 1, 1, 1], 8), ([17], 7), ([35], 7), ([53], 7), ([26], 8), ([30], 12)],
)
def test_valence_electrons_are_those_outside_noble_gas_cores_and_filled_shells(numbers, electrons):
    assert valence_electrons(numbers) == electrons


def test_laws_meet_the_timings_they_rest_on():
    assert default_law(GFN2)(40) == pytest.approx(0.012)
    b3lyp = PyscfLevel(engine="pyscf", functional="B3LYP", basis="def2-SVP")
    assert default_law(b3lyp)(40) == pytest.approx(15.0)
    assert default_law(b3lyp)(58) == pytest.approx(49.0, rel=0.1)
    larger = b3lyp.model_copy(update={"basis": "def2-TZVP"})
    assert default_law(larger)(40) > 5 * default_law(b3lyp)(40)
    excited = b3lyp.model_copy(update={"excitations": Excitations(singlets=2, triplets=2)})
    assert 1.2 < default_law(excited)(40) / default_law(b3lyp)(40) < 1.4
    full = Excitations(singlets=2, triplets=2, method="tddft")
    more = b3lyp.model_copy(update={"excitations": full})
    assert default_law(more)(40) > default_law(excited)(40)
    optimised = GFN2.model_copy(update={"geometry": "optimised"})
    assert default_law(optimised)(40) == pytest.approx(OPTIMISER_STEPS * 0.012)


def test_programs_of_plane_waves_cost_more_with_a_larger_grid_or_basis():
    cheap = parse_level({"engine": "cp2k", "cutoff_ry": CP2K_CUTOFF_RY, "version": "2023.1"})
    assert default_law(cheap)(48) == pytest.approx(CP2K_S)
    for settings in ({"cutoff_ry": 800}, {"basis": "TZV2P-MOLOPT-GTH"}):
        assert default_law(cheap.model_copy(update=settings))(48) > 3 * CP2K_S
    own = {"calculator": "vasp", "version": "6", "command": "vasp", "pseudopotential_folder": "."}
    assert default_law(parse_level({"engine": "ase", **own}))(48) > CP2K_S


def test_a_member_of_the_reference_size_costs_one():
    assert width(Potential(features=64, interactions=3)) == pytest.approx(1.0)
    assert width(Potential(features=256, interactions=3)) == pytest.approx(8.0)
    assert width(Potential(features=64, interactions=6)) == pytest.approx(2.0)


def test_a_species_costs_its_conformers_and_the_relaxations_of_the_lowest():
    few = Structures(conformers=2, relaxed_conformers=2, max_steps=10)
    assert building_s(few, 0.5) == pytest.approx(2 * CONFORMER_S + 2 * 10 * 0.5)
    many = Structures(conformers=20, relaxed_conformers=4, max_steps=1000)
    assert building_s(many, 0.5) == pytest.approx(20 * CONFORMER_S + 4 * RELAXATION_STEPS * 0.5)


def test_what_property_heads_read_is_priced_by_its_timings():
    emitters = load_campaign("config/oled.yaml")
    for atoms, measured_s in ((13, 0.014), (33, 0.070), (59, 0.244)):
        assert description_s(emitters, 10, atoms) == pytest.approx(10 * measured_s, rel=0.2)
    none = emitters.properties.model_copy(update={"descriptors": "none"})
    assert description_s(emitters.model_copy(update={"properties": none}), 10, 59) == 0
    assert description_s(load_campaign("config/flow_battery.yaml"), 10, 59) == 0
