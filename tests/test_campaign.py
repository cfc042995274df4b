"""The identity of a level of theory, and what the models promise about a campaign."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from molsieve import levels, programs
from molsieve.campaign import campaign_model, domain_names, parse_section
from molsieve.levels import PyscfLevel, TbliteLevel, level_id, parse_level
from molsieve.loading import load_mapping, resolved
from molsieve.section import digest
from tests.campaigns import SMALL, edited

PBE = {"engine": "pyscf", "functional": "PBE", "basis": "def2-SVP"}


def identity(**settings: Any) -> str:
    return level_id(parse_level({**PBE, **settings}))


SAME = [
    {"functional": "pbe", "basis": "DEF2-svp"},
    {"solvent_name": "ethanol"},
    {"dielectric_constant": 10.0},
    {"fmax_ev_per_angstrom": 0.5, "max_optimiser_steps": 3},
    {"max_cycles": 7},
    {"density_fitting": True, "grid_level": 3},
]


@pytest.mark.parametrize("settings", SAME)
def test_settings_that_do_not_act_leave_the_level_the_same(settings: dict[str, Any]) -> None:
    assert identity(**settings) == identity()


DIFFERENT = [
    {"functional": "PBE0"},
    {"basis": "def2-TZVP"},
    {"density_fitting": False},
    {"auxiliary_basis": "def2-universal-jkfit"},
    {"dispersion": "d3bj"},
    {"solvent": "C-PCM"},
    {"solvent": "SMD"},
    {"grid_level": 4},
    {"scf_tolerance_hartree": 1e-8},
    {"geometry": "optimised"},
    {"device": "gpu"},
]


def test_settings_that_change_a_number_change_the_level() -> None:
    identities = [identity(), *(identity(**settings) for settings in DIFFERENT)]
    assert len(set(identities)) == len(identities)


def test_settings_act_where_they_can() -> None:
    assert identity(solvent="SMD", solvent_name="ethanol") != identity(solvent="SMD")
    assert identity(solvent="C-PCM", dielectric_constant=10) != identity(solvent="C-PCM")
    assert identity(geometry="optimised", fmax_ev_per_angstrom=0.5) != identity(
        geometry="optimised"
    )


def test_another_engine_version_is_another_level(monkeypatch: pytest.MonkeyPatch) -> None:
    before = level_id(TbliteLevel(engine="tblite"))
    monkeypatch.setattr(levels, "_version", lambda distribution: "0.0.0")
    assert level_id(TbliteLevel(engine="tblite")) != before


PAID_FOR = [
    ({"engine": "tblite"}, "45828d81c608e76f"),
    ({"engine": "tblite", "method": "GFN1-xTB"}, "72fb267075ac8096"),
    ({"engine": "tblite", "geometry": "optimised"}, "f4c5f96f8da72347"),
    ({**PBE, "grid_level": 1}, "a292b3665d306e9b"),
    ({**PBE, "functional": "B3LYP", "dispersion": "d3bj"}, "41455ca4b6ff6228"),
    (
        {
            **{"engine": "pyscf", "functional": "PBE0", "basis": "def2-TZVP"},
            **{"dispersion": "d3bj", "solvent": "C-PCM"},
        },
        "9bd0ce40d956a4be",
    ),
]
"""Levels of shipped campaigns, and their identities since the first version."""


@pytest.mark.parametrize(("settings", "expected"), PAID_FOR)
def test_labels_that_were_paid_for_keep_their_level(
    settings: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "_version", lambda distribution: "1")
    assert level_id(parse_level(settings)) == expected


XTB, CP2K = {"engine": "tblite"}, {"engine": "cp2k", "version": "2023.1"}


@pytest.mark.parametrize(
    ("level", "settings"),
    [
        (XTB, {"min_cell_angstrom": None, "charged_cells": False}),
        (CP2K, {"k_points": [1, 1, 1]}),
        (CP2K, {"functional": "pbe"}),
        (CP2K, {"max_scf": 7, "scf_solver": "diagonalisation"}),
    ],
)
def test_periodic_settings_that_do_not_act(level: dict[str, Any], settings: dict[str, Any]) -> None:
    assert level_id(parse_level({**level, **settings})) == level_id(parse_level(level))


@pytest.mark.parametrize(
    ("level", "settings"),
    [
        (XTB, {"min_cell_angstrom": 9}),
        (XTB, {"charged_cells": True}),
        *[
            (CP2K, settings)
            for settings in (
                *({"functional": "BLYP"}, {"dispersion": "none"}, {"basis": "TZVP-MOLOPT-GTH"}),
                *({"potential": "GTH-BLYP"}, {"cutoff_ry": 500}, {"rel_cutoff_ry": 60}),
                *({"k_points": [2, 1, 1]}, {"min_cell_angstrom": 9}, {"scf_tolerance": 1e-7}),
                *({"box_margin_angstrom": 6}, {"version": "2024.1"}, {"basis_file": "B"}),
            )
        ],
    ],
)
def test_periodic_settings_that_change_a_number(
    level: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert level_id(parse_level({**level, **settings})) != level_id(parse_level(level))


def test_a_mesh_and_a_least_width_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="k_points: given together with min_cell_angstrom"):
        parse_level({**CP2K, "k_points": [2, 2, 2], "min_cell_angstrom": 9})


def test_cp2ks_version_is_that_on_the_path_where_the_level_says_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "cp2k_version", lambda: "2023.1")
    assert level_id(parse_level({"engine": "cp2k"})) == level_id(parse_level(CP2K))


def test_the_identity_of_a_level_survives_plain_json() -> None:
    level = PyscfLevel(**{**PBE, "solvent": "SMD"})  # type: ignore[arg-type]
    assert level_id(parse_level(level.model_dump(mode="json"))) == level_id(level)


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()))
def test_a_digest_ignores_the_order_of_keys(value: dict[str, Any]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))
    assert len(digest(value)) == 16


def test_a_digest_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError):
        digest({"energy": float("nan")})


def test_a_campaign_cannot_be_changed_once_it_is_read() -> None:
    loaded = load_mapping(SMALL)
    with pytest.raises(ValidationError):
        loaded.stop.max_rounds = 7


@pytest.mark.parametrize("name", ["candidates", "structures", "objective"])
def test_a_domain_section_comes_back_from_its_leaves(name: str) -> None:
    loaded = load_mapping(SMALL)
    assert parse_section("flow_battery", name, resolved(loaded)[name]) == getattr(loaded, name)


def test_every_domain_has_a_campaign_with_its_three_sections() -> None:
    assert "flow_battery" in domain_names()
    for name in domain_names():
        assert {"candidates", "structures", "objective"} <= set(campaign_model(name).model_fields)


def test_how_it_runs_is_not_part_of_any_other_section() -> None:
    here, there = load_mapping(SMALL), load_mapping(edited(("run", {"workers": 7})))
    assert here.model_dump(exclude={"run"}) == there.model_dump(exclude={"run"})
