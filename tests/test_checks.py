"""Deep checks: what only chemistry, files and the engines know is refused before anything runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from molsieve import checks
from molsieve.levels import ONLY_WHERE_GIVEN
from molsieve.loading import load_campaign, load_mapping, read_yaml, resolved
from molsieve.section import CampaignError
from tests.campaigns import edited

REPOSITORY = Path(__file__).parents[1]
ON_XTB = ("levels", {name: {"engine": "tblite"} for name in ("gfn2", "pbe")})
"""The check of a pyscf level costs an import of PySCF; cases of other keys do without."""


def message(folder: Path, *edits: tuple[str, Any]) -> str:
    campaign = load_mapping(edited(*edits))
    with pytest.raises(CampaignError) as caught:
        checks.check_campaign(campaign, folder)
    text = str(caught.value)
    assert text.startswith("campaign small: ")
    assert len(text.splitlines()) < 14
    return text


def test_a_good_campaign_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    checks.check_campaign(load_mapping(edited()), tmp_path)
    assert not list(tmp_path.iterdir()), "a dry run checks too: it may not make folders"


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_shipped_campaigns_pass(path: Path) -> None:
    campaign = load_campaign(path)
    folder = getattr(campaign.candidates.source, "folder", None)
    if folder is not None and not (REPOSITORY / folder).is_dir():
        pytest.skip(f"{folder} is not there: the frameworks of {path.name} are downloaded")
    if any(level.engine == "cp2k" for level in campaign.levels.values()) and not which("cp2k"):
        pytest.skip(f"{path.name} needs cp2k's own files of basis sets, and it is not installed")
    checks.check_campaign(campaign, REPOSITORY)


LEVELS = [
    # edit of the level "pbe", key, value, what it must say
    (("levels.pbe.functional", "PBEE"), "levels.pbe.functional", "PBEE", "PBE"),
    (("levels.pbe.functional", "b3lpy"), "levels.pbe.functional", "b3lpy", "B3LYP"),
    (("levels.pbe.basis", "def2-SPV"), "levels.pbe.basis", "def2-SPV", "def2-SVP"),
    (("levels.pbe.auxiliary_basis", "def2-jkfitt"), "levels.pbe.auxiliary_basis", "def2-jkfitt",
     "def2"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "key", "value", "says"), LEVELS)
def test_an_unknown_name_of_the_engine(
    tmp_path: Path, edit: tuple[str, Any], key: str, value: str, says: str
) -> None:
    text = message(tmp_path, edit)
    assert f"  {key}: " in text
    assert value in text
    assert says in text.replace(value, "")


def test_a_level_that_nothing_uses_yet_is_checked_too(tmp_path: Path) -> None:
    unused = ("ranking.confirm.level", "gfn2")
    assert "levels.pbe.functional: " in message(tmp_path, unused, LEVELS[0][0])


def test_an_unknown_solvent_of_smd(tmp_path: Path) -> None:
    text = message(tmp_path, ("levels.pbe.solvent", "SMD"), ("levels.pbe.solvent_name", "watter"))
    assert "levels.pbe.solvent_name" in text
    assert "watter" in text
    assert "water" in text.replace("watter", "")


def test_a_basis_without_the_element(tmp_path: Path) -> None:
    edits = [("levels.pbe.basis", "6-31G"), ("candidates.filters.elements", ["H", "C", "O", "I"])]
    text = message(tmp_path, *edits)
    assert "levels.pbe.basis" in text
    assert "6-31G" in text
    assert "'I'" in text or " I" in text


FILTERS_AND_PARTS = [
    (("candidates.source.scaffolds.0.smiles", "O=C1C=CC(=O)C=C"), "scaffolds[0].smiles",
     "O=C1C=CC(=O)C=C"),
    (("candidates.source.scaffolds.0.smiles", "c1ccc([*:1])cc1"), "scaffolds[0].smiles",
     "not a quinone"),
    (("candidates.source.substituents.1", "C(=O"), "candidates.source.substituents[1]", "'*OC'"),
    (("candidates.source.substituents.0", "OC"), "candidates.source.substituents[0]", "'*'"),
    (("candidates.filters.alerts", [{"name": "peroxide", "smarts": "[OX2"}]),
     "candidates.filters.alerts[0].smarts", "'[OX2'"),
    (("candidates.filters.elements", ["H", "C", "Qq"]), "candidates.filters.elements", "Qq"),
    (("candidates.filters.elements", ["H", "C", "O", "U"]), "candidates.filters.elements",
     "hydrogen to xenon"),
    (("candidates.filters.elements", ["H", "C"]), "candidates", "refused for: elements"),
    (("candidates.filters.max_heavy_atoms", 3), "candidates", "refused for: heavy_atoms"),
    (("candidates.filters.min_log_solubility", 5), "candidates", "refused for: log_solubility"),
    (("candidates.filters.charges_e", [1]), "candidates", "refused for: charge"),
    (("objective.reference_couples", ["1,4-benzoquinon", *"abcdefghi"]),
     "objective.reference_couples[0]", "1,4-benzoquinone"),
    (("ranking.pareto", ["log_solubilty"]), "ranking.pareto[0]", "did you mean log_solubility?"),
    (("ranking.pareto", ["identifier"]), "ranking.pareto[0]", "synthesizability"),
    (("ranking.pareto", ["sa_score", "sa_score"]), "ranking.pareto[1]", "twice"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "key", "says"), FILTERS_AND_PARTS)
def test_chemistry_that_cannot_be(
    tmp_path: Path, edit: tuple[str, Any], key: str, says: str
) -> None:
    lines = message(tmp_path, ON_XTB, edit).splitlines()
    assert len(lines) == 2, "one mistake is one line, not also one of the level and the references"
    assert key in lines[1]
    assert says in lines[1]


def test_an_element_that_the_descriptors_do_not_know(tmp_path: Path) -> None:
    oled = read_yaml(REPOSITORY / "config" / "demo_oled.yaml")
    oled["candidates"]["filters"] = {"elements": ["H", "C", "N", "O", "Cl", "Br"]}
    with pytest.raises(CampaignError) as caught:
        checks.check_campaign(load_mapping(oled), tmp_path)
    said = str(caught.value).splitlines()[1:]
    assert len(said) == 1
    assert "properties.descriptors: orbitals given, but" in said[0]
    assert "may hold Br; allowed: elements H to Cl, or descriptors: none" in said[0]


def from_file(path: str, **more: str) -> tuple[str, Any]:
    return "candidates.source", {"kind": "file", "path": path, **more}


def test_a_candidate_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "candidates.source.path: " in message(tmp_path, ON_XTB, from_file("absent.smi"))
    (tmp_path / "x.csv").write_text("name,smile\nbq,O=C1C=CC(=O)C=C1\n")
    text = message(tmp_path, ON_XTB, from_file("x.csv"))
    assert "candidates.source.path: " in text
    assert "smile" in text
    (tmp_path / "x.dat").write_text("O=C1C=CC(=O)C=C1\n")
    assert "candidates.source.path: " in message(tmp_path, ON_XTB, from_file("x.dat"))


def test_a_candidate_file_without_a_candidate(tmp_path: Path) -> None:
    (tmp_path / "none.smi").write_text("")
    assert "candidates" in message(tmp_path, ON_XTB, from_file("none.smi"))
    (tmp_path / "benzene.smi").write_text("c1ccccc1\nC1CC\n")
    text = message(tmp_path, ON_XTB, from_file("benzene.smi"))
    assert "not_a_quinone 1" in text
    assert "unparsable 1" in text


def test_a_candidate_file_is_found_from_where_the_campaign_starts(tmp_path: Path) -> None:
    (tmp_path / "quinones.smi").write_text("O=C1C=CC(=O)C=C1\n")
    campaign = load_mapping(edited(ON_XTB, from_file("quinones.smi")))
    checks.check_campaign(campaign, tmp_path)
    with pytest.raises(CampaignError):
        checks.check_campaign(campaign, REPOSITORY)


def test_a_label_store_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").write_text("")
    text = message(tmp_path, ON_XTB, ("run.label_store", "store/labels"))
    assert "run.label_store: 'store/labels' given, but" in text
    assert "is a file" in text
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root
    assert "nothing can be written to" in message(tmp_path, ON_XTB, ("run.label_store", "labels"))


def test_mistakes_of_several_kinds_are_told_at_once(tmp_path: Path) -> None:
    text = message(
        tmp_path,
        ON_XTB,
        ("candidates.source.substituents.0", "OC"),
        ("objective.reference_couples", list("abcdefghij")),
        ("ranking.pareto", ["price"]),
    )
    assert "3 mistakes" in text


# ---------------------------------------------------------------- whose results these are


def recorded(folder: Path, *edits: tuple[str, Any]) -> Path:
    results = folder / "results" / "small"
    results.mkdir(parents=True, exist_ok=True)
    checks.record_campaign(load_mapping(edited(*edits)), results)
    return results


GOES_ON = [
    ("stop", {"max_rounds": 9, "max_labels": 5000, "expected_missed": 0.1}),
    ("candidates.shards", 7),
    ("labels.shards", 5),
    ("labels.quorum", 0.5),
    ("run", {"workers": 3, "label_store": "elsewhere"}),
    ("acquisition.function", "greedy"),
    ("potential.members", 8),
    ("ranking.confirm.top", 9),
    ("levels.pbe.basis", "def2-TZVP"),
    ("levels.b3lyp", {"engine": "pyscf", "functional": "B3LYP", "basis": "def2-SVP"}),
]


@pytest.mark.parametrize("edit", GOES_ON, ids=lambda edit: edit[0])
def test_the_same_question_goes_on(tmp_path: Path, edit: tuple[str, Any]) -> None:
    checks.check_results_folder(load_mapping(edited(edit)), recorded(tmp_path))


def oled(**objective: Any) -> Any:
    content = read_yaml(REPOSITORY / "config" / "demo_oled.yaml")
    return load_mapping(content | {"objective": content["objective"] | objective})


def test_other_goals_are_the_same_question(tmp_path: Path) -> None:
    checks.record_campaign(oled(), tmp_path)
    gap = {"direction": "minimise", "worst": 2.0, "ideal": 0.1}
    strength = {"direction": "maximise", "worst": 0.1, "ideal": 0.9}
    goals = {"singlet_triplet_gap": gap, "oscillator_strength": strength}
    checks.check_results_folder(oled(goals=goals), tmp_path)
    with pytest.raises(CampaignError, match=r"objective\.reference_molecules: .* there, \[\] now"):
        checks.check_results_folder(oled(reference_molecules=[]), tmp_path)


ANOTHER = [
    (("seed", 2), "seed: 1 there, 2 now"),
    (("candidates.source.substituents", ["*F"]), 'source.substituents: ["*C", "*O"] there, ["*F"]'),
    (("candidates.filters.max_heavy_atoms", 12), "filters.max_heavy_atoms: 60 there, 12 now"),
    (("structures", {"conformers": 9}), "structures.conformers: 5 there, 9 now"),
    (("objective.direction", "posolyte"), 'direction: "negolyte" there, "posolyte" now'),
    (("labels.level", "pbe"), 'engine: "tblite" there, "pyscf" now'),
    (("levels.gfn2.method", "GFN1-xTB"), 'method: "GFN2-xTB" there, "GFN1-xTB" now'),
]


@pytest.mark.parametrize(("edit", "says"), ANOTHER)
def test_another_question_is_refused(tmp_path: Path, edit: tuple[str, Any], says: str) -> None:
    with pytest.raises(CampaignError) as caught:
        checks.check_results_folder(load_mapping(edited(edit)), recorded(tmp_path))
    text = str(caught.value)
    assert says in text
    assert "campaign:" in text.splitlines()[-1], "the last line says what to do"
    assert len(text.splitlines()) <= 12


def test_an_empty_results_folder_is_anyones(tmp_path: Path) -> None:
    checks.check_results_folder(load_mapping(edited()), tmp_path / "results" / "small")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"domain": 3'])
def test_a_damaged_record_is_told(tmp_path: Path, content: str) -> None:
    results = recorded(tmp_path)
    (results / checks.RECORD).write_text(content)
    with pytest.raises(CampaignError, match="damaged"):
        checks.check_results_folder(load_mapping(edited()), results)


def test_the_record_is_the_resolved_campaign(tmp_path: Path) -> None:
    record = recorded(tmp_path) / checks.RECORD
    assert json.loads(record.read_text()) == resolved(load_mapping(edited()))


def test_a_record_older_than_a_level_s_setting_is_the_same_question(tmp_path: Path) -> None:
    results = recorded(tmp_path)
    record = json.loads((results / checks.RECORD).read_text())
    for level in record["levels"].values():
        for key in ONLY_WHERE_GIVEN:
            level.pop(key, None)
    (results / checks.RECORD).write_text(json.dumps(record))
    checks.check_results_folder(load_mapping(edited()), results)
    repeated = load_mapping(edited(("levels.gfn2.min_cell_angstrom", 9.0)))
    with pytest.raises(CampaignError, match="min_cell_angstrom"):
        checks.check_results_folder(repeated, results)
