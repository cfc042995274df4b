"""Levels that PySCF cannot compute are refused by name, with the nearest names."""

import pytest

from molsieve.engines import check_level
from molsieve.section import CampaignError
from tests.engines.geometries import dft

ORGANIC = {"H", "C", "N", "O", "Cl"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"functional": "PBE0", "dispersion": "d4", "basis": "def2-TZVP"},
        {"functional": "m06-2x", "dispersion": "d3zero"},
        {"functional": "wb97m-v"},
        {"functional": "0.5*HF+0.5*PBE,PBE", "basis": "6-31G*"},
        {"auxiliary_basis": "def2-universal-jfit", "solvent": "SMD", "solvent_name": "ethanol"},
        {"auxiliary_basis": "nonsense", "density_fitting": False},
        {"solvent_name": "nonsense", "solvent": "C-PCM"},
        {"device": "gpu"},
    ],
)
def test_good_levels_pass(settings):
    check_level(dft(**settings), ORGANIC)


def test_core_potentials_count_as_a_basis():
    check_level(dft(), {"H", "I"})


@pytest.mark.parametrize(
    ("settings", "elements", "words"),
    [
        ({"functional": "PBEE"}, ORGANIC, r"functional: 'PBEE'.*nearest: PBE"),
        ({"functional": "b3lip"}, ORGANIC, r"functional: 'b3lip'.*B3LYP"),
        ({"functional": "PBE,nonsense"}, ORGANIC, r"functional: 'PBE,nonsense'"),
        ({"functional": " "}, ORGANIC, "functional: empty"),
        ({"functional": "B3LYP-D3BJ"}, ORGANIC, "dispersion: d3bj"),
        ({"functional": "wb97x-d3"}, ORGANIC, "functional: 'wb97x-d3'"),
        ({"functional": "cc06"}, ORGANIC, "Laplacian"),
        ({"basis": "deff2-svp"}, ORGANIC, "basis: 'deff2-svp'.*nearest: def2svp"),
        ({"basis": "6-31G*"}, {"H", "I"}, r"basis: '6-31G\*' has no functions for I"),
        ({"basis": "def2-SVP"}, {"H", "U"}, "no functions for U"),
        ({"auxiliary_basis": "def2-jfit"}, ORGANIC, "auxiliary_basis: 'def2-jfit'"),
        ({"functional": "m06-2x", "dispersion": "d3bj"}, ORGANIC, "dispersion: 'd3bj'.*m06-2x"),
        ({"functional": "LDA,VWN", "dispersion": "d4"}, ORGANIC, "dispersion: 'd4'"),
        ({"functional": "wb97m-v", "dispersion": "d3bj"}, ORGANIC, "twice"),
        ({"solvent": "SMD", "solvent_name": "watr"}, ORGANIC, "solvent_name: 'watr'.*water"),
        ({}, {"H", "Qq"}, "'Qq' is not a chemical element"),
    ],
)
def test_bad_levels_are_refused(settings, elements, words):
    with pytest.raises(CampaignError, match=words) as caught:
        check_level(dft(**settings), elements)
    assert "\n" not in str(caught.value)
