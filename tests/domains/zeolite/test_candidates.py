"""Frameworks x heteroatoms x guests: identities, refusals, mistakes in the campaign file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ase.io import write

from molsieve import tables
from molsieve.acquisition.diversity import tanimoto_distances, unpack_fingerprints
from molsieve.crystals.known import known_codes, known_framework
from molsieve.domains.zeolite import config
from molsieve.domains.zeolite.candidates import (
    check_candidates,
    count_candidates,
    enumerate_candidates,
    first_accepted,
    iterate_candidates,
)
from molsieve.domains.zeolite.frameworks import load_framework
from molsieve.domains.zeolite.identifiers import Identifier, parse_identifier
from molsieve.jobs.kept_results import file_digest
from molsieve.section import CampaignError


def section(filters: dict[str, Any] | None = None, **source: Any) -> config.Candidates:
    given = {"frameworks": ["SOD"], "guests": ["CN"], **source}
    return config.Candidates.model_validate({"source": given, "filters": filters or {}})


def reasons(candidates: config.Candidates) -> list[str | None]:
    return [row["reject_reason"] for row in iterate_candidates(candidates)]


def test_every_framework_meets_every_guest_once() -> None:
    candidates = section(frameworks=["SOD", "ACO"], guests=["CN", "NC", "OCCO"], loadings=[1, 2])
    rows = list(iterate_candidates(candidates))
    found = [row["identifier"] for row in rows]
    assert found == [
        f"{code}|pure|{guest}|{n}"
        for code in ("SOD", "ACO")
        for guest in ("CN", "OCCO")
        for n in (1, 2)
    ]
    assert len({row["candidate_id"] for row in rows}) == 8
    assert {row["group"] for row in rows} == {
        f"{code}|{guest}" for code in ("SOD", "ACO") for guest in ("CN", "OCCO")
    }
    assert count_candidates(candidates) == (12, True), "duplicates are not known before"
    assert first_accepted(candidates) is True


def test_an_identifier_is_read_as_it_was_written() -> None:
    parts = Identifier("CHA", "Al1.0+H1.2", "CN(C)C", 2)
    assert parse_identifier(str(parts)) == parts
    assert parts.pair == "CHA|CN(C)C" and parts.host == "CHA|Al1.0+H1.2"
    with pytest.raises(ValueError, match="no zeolite candidate"):
        parse_identifier("CN(C)C")


def test_the_typed_in_frameworks_are_those_of_the_crystals() -> None:
    assert set(config.KNOWN) == set(known_codes()) - {"quartz"}


def test_a_cell_is_the_smallest_that_is_wide_enough() -> None:
    sizes = {c: len(load_framework(c, None, 7.5).atoms) for c in ("SOD", "ABW", "CHA")}
    assert sizes == {"SOD": 36, "ABW": 48, "CHA": 36}
    assert len(load_framework("SOD", None, 8.9).atoms) == 36, "its conventional cell is 8.965 wide"


def test_heteroatoms_come_with_their_protons() -> None:
    atoms = ["H", "C", "N", "O", "Si", "Al"]
    one_al = {"counts": {"Al": 1}}
    rows = list(iterate_candidates(section({"elements": atoms}, heteroatoms=[{}, one_al])))
    found = [parse_identifier(row["identifier"]).arrangement for row in rows]
    # Sodalite has one T site; an aluminium's four oxygens are equivalent in Im-3m.
    assert found[0] == "pure" and len(found) == 2
    assert found[1].startswith("Al1.") and "+H1." in found[1]
    ratio = section({"elements": atoms}, heteroatoms=[{"si_ratios": {"Al": 11.0}}])
    assert [parse_identifier(r["identifier"]).arrangement for r in iterate_candidates(ratio)] == [
        found[1]
    ]


def test_of_too_many_arrangements_some_are_drawn_and_each_has_its_turn() -> None:
    elements = {"elements": ["H", "C", "N", "O", "Si", "Al"]}
    entry = {"counts": {"Al": 3}, "most": 3}

    def drawn(**more: object) -> list[str]:
        one = section(elements, frameworks=["CHA"], heteroatoms=[entry | more])
        return [parse_identifier(row["identifier"]).arrangement for row in iterate_candidates(one)]

    forms = drawn()
    assert len(forms) == 3 and forms == drawn(), "seeded"
    assert len({form.partition("+")[0] for form in forms}) == 3, "no arrangement twice"
    everything = drawn(most=10_000)
    assert set(forms) < set(everything)
    in_order = sorted({form.partition("+")[0] for form in everything})
    assert sorted(form.partition("+")[0] for form in forms) != in_order[:3], "not the first ones"


def test_charged_guests_are_compared_as_neutral_analogues_or_refused() -> None:
    row = next(iterate_candidates(section(guests=["C[N+](C)(C)C"])))
    assert row["identifier"] == "SOD|pure|CC(C)(C)C|1" and row["charge_e"] == 0
    assert reasons(section(guests=["C[N+](C)(C)C"], charged_guests="refuse")) == ["charge"]


ALUMINIUM = {"elements": ["H", "C", "N", "O", "Si", "Al", "B", "Ge"]}


def balanced(guests: list[str], **more: Any) -> list[dict]:
    source = {"guests": guests, "charged_guests": "framework_aluminium", "min_cell_angstrom": 6}
    return list(iterate_candidates(section(ALUMINIUM, **(source | more))))


def test_aluminium_balances_charged_guests_and_neutral_ones_need_none() -> None:
    rows = balanced(["C[NH3+]", "CN"], loadings=[1, 2])
    found = [row["identifier"].split("|")[1:] for row in rows]
    assert [part[1:] for part in found if part[0] == "pure"] == [["CN", "1"], ["CN", "2"]]
    charged = [(form[:3], guest, n) for form, guest, n in found if form != "pure"]
    assert set(charged) == {("Al1", "C[NH3+]", "1"), ("Al2", "C[NH3+]", "2")}
    assert {row["charge_e"] for row in rows} == {0, 1}
    assert not any("+" in form for form, _, _ in found), "no ions beside the guests"


def test_a_composition_with_the_guests_charge_is_taken_and_another_is_a_row() -> None:
    entries = [{"counts": {"B": 1}}, {"counts": {"Ge": 1}}, {"counts": {"Al": 2}}]
    rows = balanced(["C[NH3+]"], heteroatoms=entries)
    forms = {parse_identifier(r["identifier"]).arrangement for r in rows if not r["reject_reason"]}
    assert {"".join(c for c in form.partition(".")[0]) for form in forms} == {"B1", "Al1Ge1"}
    (refused,) = [row for row in rows if row["reject_reason"]]
    assert refused["identifier"] == "SOD|heteroatoms[2]+1||0"
    assert "leave -2 e, the guests have +1 e" in refused["reject_reason"]


def test_an_anion_or_elements_that_are_filtered_out_are_refused() -> None:
    (row,) = balanced(["CC(=O)[O-]"])
    assert row["reject_reason"].startswith("guest: ") and "cations" in row["reject_reason"]
    with pytest.raises(CampaignError, match=r"charged_guests .*: Al is not among"):
        check_candidates(section(charged_guests="framework_aluminium"))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"counts": {"Al": 7}}, "7"),  # six T sites
        ({"si_ratios": {"Al": 3.0}}, "Al"),  # 1.5 atoms a cell
        ({"counts": {"Al": 1}, "ion": "Ca"}, "cannot balance"),
        ({"counts": {"Al": 4}}, "within the rule"),  # six sites of four-rings
    ],
)
def test_heteroatoms_that_a_cell_cannot_have_are_one_row(entry: dict, says: str) -> None:
    one = section(ALUMINIUM, heteroatoms=[{}, entry], guests=["CN", "CO"], min_cell_angstrom=6)
    rows = list(iterate_candidates(one))
    refused = [row for row in rows if row["status"] == "rejected"]
    assert len(rows) == 3 and len(refused) == 1, "the pure framework goes on"
    assert refused[0]["identifier"] == "SOD|heteroatoms[1]||0"
    assert refused[0]["reject_reason"].startswith("heteroatoms: ")
    assert says in refused[0]["reject_reason"]


def test_what_is_advised_is_what_helps(tmp_path: Path) -> None:
    entry = {"counts": {"Al": 7}}
    none = section(ALUMINIUM, heteroatoms=[entry], min_cell_angstrom=6)
    with pytest.raises(CampaignError) as error:
        enumerate_candidates(none, [tmp_path / "0.parquet"], 1, "test")
    assert "change candidates.source.heteroatoms" in str(error.value)
    assert "loosen" not in str(error.value), "no filter helps"
    both = section({"max_heavy_atoms": 1}, guests=["CCCC", "[CH3]C[NH3+]"], charged_guests="refuse")
    with pytest.raises(CampaignError, match=r"loosen candidates\.filters") as error:
        enumerate_candidates(both, [tmp_path / "0.parquet"], 1, "test")
    assert "charged_guests" in str(error.value)


@pytest.mark.parametrize(
    ("guest", "filters", "reason"),
    [
        ("CS", {}, "elements"),
        ("CN", {"elements": ["H", "C", "N", "O"]}, "elements"),  # the framework's silicon
        ("CCCC", {"max_heavy_atoms": 3}, "heavy_atoms"),
        ("C", {"min_heavy_atoms": 2}, "heavy_atoms"),
        ("C1CC2CCC1C2", {"max_sa_score": 1}, "sa_score"),
        ("CN", {"max_t_sites": 5}, "t_sites"),
    ],
)
def test_what_is_refused_says_why(guest: str, filters: dict, reason: str) -> None:
    assert reasons(section(filters, guests=[guest])) == [reason]


def test_guests_of_a_file_that_are_no_molecules_are_rows(tmp_path: Path) -> None:
    (tmp_path / "guests.csv").write_text("smiles\nCN\nC(\nC.C\n[CH3]\n")
    found = Counter(reasons(section(guests=[], guest_file=str(tmp_path / "guests.csv"))))
    assert found.pop(None) == 1 and len(found) == 3
    assert all(reason and reason.startswith("guest: ") for reason in found)


def test_a_broken_framework_is_one_row_with_the_reason(tmp_path: Path) -> None:
    sound = known_framework("SOD").atoms
    write(tmp_path / "GOOD.cif", sound)
    broken = sound.copy()
    del broken[next(atom.index for atom in broken if atom.symbol == "O")]
    write(tmp_path / "BAD.cif", broken)
    candidates = section(folder=str(tmp_path), frameworks=None, guests=["CN", "CO"])
    rows = list(iterate_candidates(candidates))
    refused = [row for row in rows if row["status"] == "rejected"]
    assert len(rows) == 3 and len(refused) == 1
    assert refused[0]["reject_reason"].startswith("framework: ")
    assert {row["source"] for row in rows} == {str(tmp_path / f"{n}.cif") for n in ("GOOD", "BAD")}


def test_a_shard_holds_whole_frameworks_and_nothing_is_lost(tmp_path: Path) -> None:
    candidates = section(frameworks=["SOD", "ACO", "ABW"], guests=["CN", "CO"])
    outputs = [tmp_path / f"{k}.parquet" for k in range(2)]
    assert enumerate_candidates(candidates, outputs, 1, "test") == {"accepted": 6}
    parts = [tables.read_table(path, "candidates") for path in outputs]
    codes = [{parse_identifier(i).framework for i in part["identifier"]} for part in parts]
    assert codes[0] | codes[1] == {"SOD", "ACO", "ABW"} and not codes[0] & codes[1]
    with pytest.raises(CampaignError, match=r"none of 1 candidates is accepted \(elements 1"):
        enumerate_candidates(section(guests=["CS"]), outputs, 1, "test")


def test_framework_and_guest_weigh_in_distances() -> None:
    rows = iterate_candidates(section(frameworks=["SOD", "ACO"], guests=["CN", "CO"]))
    prints = unpack_fingerprints([row["fingerprint"] for row in rows])
    same, other_guest, other_framework, other_both = tanimoto_distances(prints[0], prints)
    assert same == 0 and 0 < other_guest < other_both and 0 < other_framework < other_both


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"guests": ["C("]}, r"candidates.source.guests\[0\]: 'C\('"),
        ({"guest_file": "nowhere.smi"}, "candidates.source.guest_file: nowhere.smi: no such file"),
        ({"folder": "nowhere"}, "candidates.source.folder: 'nowhere' is no folder"),
        ({"heteroatoms": [{"counts": {"Xx": 1}}]}, r"heteroatoms\[0\]: 'Xx' takes no T site"),
        ({"heteroatoms": [{"counts": {"Al": 1}}]}, "Al is not among candidates.filters.elements"),
        ({"heteroatoms": [{"counts": {"Fe": 1}}]}, r"heteroatoms\[0\]: Fe has unpaired electrons"),
        ({"heteroatoms": [{"counts": {"Al": 1}, "ion": "Xx"}]}, r"heteroatoms\[0\].ion: 'Xx'"),
    ],
)
def test_mistakes_name_the_key(source: dict, says: str) -> None:
    with pytest.raises(CampaignError, match=says):
        check_candidates(section(**source))


def test_a_framework_that_the_folder_lacks(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"holds no \.cif file"):
        check_candidates(section(folder=str(tmp_path)))
    write(tmp_path / "SOD.cif", known_framework("SOD").atoms)
    with pytest.raises(CampaignError, match=r"frameworks: no CHA.cif in"):
        check_candidates(section(folder=str(tmp_path), frameworks=["SOD", "CHA"]))


@pytest.mark.parametrize("names", [["SOD.cif", "SOD.CIF"], ["A|B.cif"]])
def test_names_of_files_that_cannot_be_codes(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(CampaignError, match=r"frameworks' codes, each once.*rename (SOD|A\|B)"):
        check_candidates(section(folder=str(tmp_path), frameworks=None))


def test_a_folders_state_is_of_its_wanted_files(tmp_path: Path) -> None:
    for name in ["A.cif", "B.cif", "C.CIF"]:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1, 1))
    every = config.candidate_state(section(folder=str(tmp_path), frameworks=None))
    some = config.candidate_state(section(folder=str(tmp_path), frameworks=["C"]))
    assert every is not None and some is not None
    seen, first, of_some = [every()], every(), some()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "GONE.cif").symlink_to(tmp_path / "nowhere")
    (tmp_path / "D.cif").mkdir()
    assert every() == first, "what cannot be read is the enumeration's to refuse"
    os.utime(tmp_path / "B.cif", (9, 9))  # edited in place
    seen.append(every())
    (tmp_path / "B.cif").unlink()
    seen.append(every())
    (tmp_path / "A.cif").write_text("longer")
    os.utime(tmp_path / "A.cif", (1, 1))
    seen.append(every())
    (tmp_path / "E.cif").write_text("")
    seen.append(every())
    assert len(set(seen)) == 5 and some() == of_some
    assert config.candidate_state(section()) is None
    guests = section(folder=str(tmp_path), frameworks=None, guest_file="guests.smi")
    assert config.candidate_files(guests) == ["guests.smi"]
    assert config.candidate_files(section()) == []


def test_a_shards_table_is_another_one_when_a_file_of_its_frameworks_is(tmp_path: Path) -> None:
    cif, table = tmp_path / "SOD.cif", tmp_path / "0.parquet"
    write(cif, known_framework("SOD").atoms)
    (tmp_path / "ZZZ.cif").symlink_to(tmp_path / "nowhere")
    one = section(folder=str(tmp_path), frameworks=None)

    def written() -> str:
        enumerate_candidates(one, [table], 1, "test")
        return file_digest(table)

    first = written()
    os.utime(cif, (1, 1))
    assert written() == first
    cif.write_text(cif.read_text() + "\n# edited")
    assert written() != first
    assert next(iterate_candidates(one))["identifier"] == "SOD|pure|CN|1"


def test_a_dangling_link_is_a_row_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path / "SOD.cif", known_framework("SOD").atoms)
    (tmp_path / "ZZZ.cif").symlink_to(tmp_path / "nowhere")
    assert reasons(section(folder=str(tmp_path), frameworks=None)) == [
        None,
        "framework: ZZZ.cif: no such file",
    ]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"guests": []}, "guests: none given"),
        ({"guests": ["C", "C"]}, "guests: C twice"),
        ({"frameworks": ["XYZ"]}, "frameworks: XYZ not typed in"),
        (
            {"heteroatoms": [{"counts": {"Al": 1}, "si_ratios": {"Al": 5}}]},
            "counts: given together with si_ratios",
        ),
    ],
)
def test_contradictions_are_refused(source: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        section(**source)
