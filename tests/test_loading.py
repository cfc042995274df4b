"""Every mistake that the models alone can see is one line: key, value, what is allowed, nearest."""

from __future__ import annotations

import json
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molsieve import keys
from molsieve.campaign import campaign_model
from molsieve.loading import (
    MISTAKES_SHOWN,
    json_schema,
    load_campaign,
    load_mapping,
    resolved,
)
from molsieve.section import CampaignError
from tests.campaigns import REMOVED, SMALL, edited

REPOSITORY = Path(__file__).parents[1]

PYDANTIC_JARGON = ("Input should", "pydantic", "https://", "Value error", "dictionary", "string")


def message(mapping: Any, source: str = "the campaign file") -> str:
    with pytest.raises(CampaignError) as caught:
        load_mapping(mapping, source)
    text = str(caught.value)
    assert not any(words in text for words in PYDANTIC_JARGON), text
    assert len(text.splitlines()) <= MISTAKES_SHOWN + 2
    return text


def test_a_campaign_without_mistakes_loads_with_its_defaults() -> None:
    campaign = load_mapping(SMALL)
    assert campaign.stop.max_rounds == 3
    assert campaign.level("pbe").geometry == "single_point"


UNKNOWN_KEYS = [
    # edit, the line's key, what it must say
    (("candidates.filters.max_heavy_atom", 9), "candidates.filters.max_heavy_atom",
     "did you mean max_heavy_atoms?"),
    (("stop.max_round", 5), "stop.max_round", "did you mean max_rounds?"),
    (("acquisition.Beta", 2), "acquisition.Beta", "did you mean beta?"),
    (("acquisition.geometries.attack.step-size-angstrom", 0.1),
     "acquisition.geometries.attack.step-size-angstrom",
     "did you mean step_size_angstrom?"),
    (("max_rounds", 5), "max_rounds", "it exists as stop.max_rounds"),
    (("levels.pbe.method", "PBE"), "levels.pbe.method", "it exists as levels.<name>.method"),
    (("levels.gfn2.functional", "PBE"), "levels.gfn2.functional", "here: geometry, "),
    (("candidates.source.scaffolds.0.smile", "C"), "candidates.source.scaffolds[0].smile",
     "did you mean smiles?"),
    (("candidates.source.path", "x.csv"), "candidates.source.path", "kind, scaffolds"),
    (("ranking.confirm.toop", 3), "ranking.confirm.toop", "did you mean top?"),
    (("zzz", 1), "zzz", "here: campaign, domain, seed, levels"),
]  # fmt: skip


def test_a_key_that_moved_says_where_to() -> None:
    line = message(edited(("acquisition.attack", {"share": 0.2, "starts": 16}))).splitlines()[1]
    assert line.strip().startswith("acquisition.attack: unknown key")
    assert "moved to acquisition.geometries.attack" in line
    assert "acquisition.geometries.share and acquisition.geometries.starts" in line


@pytest.mark.parametrize(("edit", "key", "says"), UNKNOWN_KEYS)
def test_an_unknown_key_names_the_nearest_and_where_it_exists(
    edit: tuple[str, Any], key: str, says: str
) -> None:
    text = message(edited(edit))
    assert f"  {key}: unknown key (value: {json.dumps(edit[1])})" in text
    assert says in text


WRONG_VALUES = [
    # edit, key, value as shown, what is allowed
    (("stop.max_rounds", -1), "stop.max_rounds", "-1", "a whole number, at least 1"),
    (("stop.max_rounds", "many"), "stop.max_rounds", '"many"', "a whole number"),
    (("stop.max_labels", 2.5), "stop.max_labels", "2.5", "a whole number, at least 1"),
    (("stop.levelled_change", 1.5), "stop.levelled_change", "1.5", "a number from 0 to 1"),
    (("labels.quorum", 0), "labels.quorum", "0", "a number, above 0 and at most 1"),
    (("potential.members", 1), "potential.members", "1", "a whole number from 2 to 64"),
    (("potential.members", True), "potential.members", "true", "a whole number from 2 to 64"),
    (("seed", True), "seed", "true", "a whole number, at least 0"),
    (("acquisition.beta", False), "acquisition.beta", "false", "a number, at least 0"),
    (("potential.learning_rate", float("inf")), "potential.learning_rate", "Infinity", "a number"),
    (("acquisition.beta", float("nan")), "acquisition.beta", "NaN", "a number, at least 0"),
    (("potential.ema_decay", 1.0), "potential.ema_decay", "1.0", "at least 0 and below 1"),
    (("potential.bootstrap", "maybe"), "potential.bootstrap", '"maybe"', "true or false"),
    (("levels.pbe.grid_level", 12), "levels.pbe.grid_level", "12", "a whole number from 0 to 9"),
    (("levels.pbe.dielectric_constant", 1), "levels.pbe.dielectric_constant", "1", "above 1"),
    (("levels.pbe.functional", 3), "levels.pbe.functional", "3", 'text (in "quotes"'),
    (("levels", {}), "levels", "{}", "a section with a name of your own"),
    (("levels.pbe", "PBE"), "levels.pbe", '"PBE"', "a section with engine: tblite or pyscf"),
    (("prediction", [1]), "prediction", "[1]", "a section with the keys shards"),
    (("candidates.source.substituents", "*C"), "candidates.source.substituents", '"*C"',
     "a list of texts, at least 1 of them"),
    (("candidates.source.substituents", []), "candidates.source.substituents", "[]",
     "at least 1 of them"),
    (("candidates.filters.charges_e", [0, "x"]), "candidates.filters.charges_e[1]", '"x"',
     "a whole number"),
    (("candidates.filters.max_sa_score", 0.5), "candidates.filters.max_sa_score", "0.5",
     "a number from 1 to 10"),
    (("campaign", "a b"), "campaign", '"a b"', "a letter or digit first"),
    (("campaign", "../elsewhere"), "campaign", '"../elsewhere"', "a letter or digit first"),
    (("objective.window_v", [1, 2, 3]), "objective.window_v", "[1, 2, 3]", "a list of 2 numbers"),
    (("run.workers", 0), "run.workers", "0", "a whole number, at least 1, or null"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "key", "value", "allowed"), WRONG_VALUES)
def test_a_wrong_value_names_what_is_allowed(
    edit: tuple[str, Any], key: str, value: str, allowed: str
) -> None:
    line = message(edited(edit)).splitlines()[1]
    assert line.startswith(f"  {key}: {value} given; allowed: ")
    assert allowed in line


def test_an_empty_section_is_told_so() -> None:
    assert "  stop: nothing given; allowed: a section with the keys max_rounds" in message(
        edited(("stop", None))
    )


WRONG_CHOICES = [
    ("levels.pbe.engine", "pyscff", "did you mean pyscf?"),
    ("levels.gfn2.method", "GFN3-xTB", "one of GFN2-xTB, GFN1-xTB; did you mean"),
    ("levels.pbe.solvent", "cpcm", "one of none, C-PCM, IEF-PCM"),
    ("levels.pbe.dispersion", "D3BJ", "did you mean d3bj?"),
    ("candidates.source.kind", "files", "one of enumerate, file; did you mean file?"),
    ("acquisition.function", "expected improvement", "did you mean expected_improvement?"),
    ("acquisition.diversity.method", "max-min", "did you mean maxmin?"),
    ("potential.device", "cuda", "one of cpu, gpu, auto"),
    ("objective.direction", "positive", "one of posolyte, negolyte, window"),
    ("domain", "flow-battery", "did you mean flow_battery?"),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG_CHOICES)
def test_a_wrong_choice_names_the_choices_and_the_nearest(key: str, value: str, says: str) -> None:
    lines = message(edited((key, value))).splitlines()
    assert len(lines) == 2, "one mistake is one line, also where sections have variants"
    assert lines[1].startswith(f'  {key}: "{value}" given; allowed: ')
    assert says in lines[1]


MISSING = [
    ("campaign", "the campaign's name"),
    ("levels.pbe.engine", "one of tblite, pyscf"),
    ("levels.pbe.functional", "any functional PySCF"),
    ("labels.level", "name of the level"),
    ("candidates.source.kind", "one of enumerate, file"),
    ("objective", "the redox potential"),
    ("ranking.confirm", "re-labelling"),
]


@pytest.mark.parametrize(("key", "says"), MISSING)
def test_a_missing_key_says_what_it_means(key: str, says: str) -> None:
    lines = message(edited((key, REMOVED))).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"  {key}: missing")
    assert says in lines[1]


def test_a_missing_domain_says_which_there_are() -> None:
    text = message(edited(("domain", REMOVED), ("domian", "flow_battery")))
    assert "domain: is missing (is domian: meant to be it?)" in text
    assert "flow_battery" in text


def test_a_misspelt_required_key_is_one_mistake() -> None:
    text = message(edited(("labels", REMOVED), ("label", {"level": "gfn2"})))
    assert "1 mistake;" in text
    assert "did you mean labels?" in text


CONTRADICTIONS = [
    ([("candidates.filters", {"min_heavy_atoms": 9, "max_heavy_atoms": 3})],
     "candidates.filters.min_heavy_atoms: 9 exceeds max_heavy_atoms (3)"),
    ([("candidates.filters.charges_e", [0, -1])],
     "candidates.filters.charges_e: [-1, 0] mixes charges"),
    ([("candidates.filters.charges_e", [-1])],
     "candidates.filters.charges_e: [-1] lets anions through, but the level 'gfn2' has no solvent"),
    ([("objective", {"direction": "window", "window_v": [0.9, 0.2]})],
     "objective.window_v: [0.9, 0.2] is empty; allowed: [low, high]"),
    ([("objective", {"direction": "window"})], "objective.window_v: nothing given"),
    ([("objective.window_v", [0.1, 0.2])],
     "objective.window_v: [0.1, 0.2] given with direction: negolyte"),
    ([("objective.reference_couples", ["1,4-benzoquinone"])],
     "objective.reference_couples: 1 named, at least ten"),
    ([("acquisition.random_share", 0.8), ("acquisition.geometries", {"share": 0.4})],
     "acquisition.random_share: 0.8 and geometries.share 0.4 exceed 1"),
    ([("acquisition.geometries.mix", {"attack": 0})],
     "acquisition.geometries.mix: every weight is 0, but the share is 0.1"),
    ([("acquisition.geometries.attack.spread_of", "stress")],
     "acquisition.geometries.attack.spread_of: stress, but molecules have none"),
    ([("potential.energy_weight", 0), ("potential.force_weight", 0),
      ("potential.difference_weight", 0)],
     "potential.energy_weight: 0, as are force_weight and difference_weight"),
    ([("acquisition.geometries.dynamics", {"length_ps": 1e-4})],
     "acquisition.geometries.dynamics.timestep_fs: 0.5 exceeds length_ps (0.0001 ps)"),
    ([("acquisition.seed_labels", 2000)],
     "acquisition.seed_labels: 2000 exceeds the whole budget stop.max_labels (1000)"),
    ([("acquisition.seed_labels", 8)],
     "acquisition.seed_labels: 8 x seed_random_share 0.3 buys less"),
    ([("acquisition.batch_labels", 12)], "a candidate costs 6 labels (2 species x (1 +"),
    ([("acquisition.geometries.attack", {"step_size_angstrom": 0.6})],
     "geometries.attack.step_size_angstrom: 0.6 exceeds max_displacement_angstrom (0.5)"),
    ([("structures", {"conformers": 2, "relaxed_conformers": 3})],
     "structures.relaxed_conformers: 3 exceeds conformers (2)"),
    ([("stop", {"top_k": 5, "expected_missed": 5})], "stop.expected_missed: 5 is no bound"),
    ([("labels.level", "pbee")], "labels.level: 'pbee' is not one of levels: gfn2, pbe"),
    ([("ranking.confirm.level", "b3lyp")],
     "ranking.confirm.level: 'b3lyp' is not one of levels: gfn2, pbe"),
    ([("levels", {"../gfn2": {"engine": "tblite"}, "pbe": {"engine": "tblite"}})],
     "levels: '../gfn2' given; allowed: names of letters, digits"),
    ([("levels.gfn2.geometry", "optimised")], "labels.level: 'gfn2' is optimised; allowed"),
    ([("candidates.source.substituents", ["*C", "*O", "*C"])],
     "candidates.source.substituents: *C twice; keep one"),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "says"), CONTRADICTIONS)
def test_values_that_contradict_each_other(edits: list[tuple[str, Any]], says: str) -> None:
    assert says in message(edited(*edits))


def test_charges_may_mix_where_the_committee_sees_them() -> None:
    load_mapping(
        edited(("candidates.filters.charges_e", [0, 1]), ("potential.electronic_embedding", True))
    )


def test_anions_are_let_through_in_solution() -> None:
    load_mapping(
        edited(
            ("candidates.filters.charges_e", [-1]),
            ("levels.pbe.solvent", "C-PCM"),
            ("labels.level", "pbe"),
            ("ranking.confirm.level", "pbe"),
        )
    )


def test_all_mistakes_are_told_at_once_and_fit_a_screen() -> None:
    text = message(edited(*[(f"stop.wrong{letter}", 1) for letter in string.ascii_letters[:25]]))
    assert "25 mistakes" in text
    assert text.endswith("and 15 more")


def test_long_values_are_cut() -> None:
    text = message(edited(("stop.max_rounds", "x" * 500)))
    assert max(map(len, text.splitlines())) < 200


def test_the_source_is_named() -> None:
    assert message(edited(("seed", -1)), "config/mine.yaml").startswith(
        "config/mine.yaml: 1 mistake"
    )


FILES = [
    ("", "the file is empty"),
    ("# nothing\n", "the file is empty"),
    ("- a\n- b\n", "not sections"),
    ("just words", "not sections"),
    ("stop:\n  max_rounds: 3\n  max_rounds: 4\n", "stop.max_rounds: is there twice, lines 2 and 3"),
    ("a: [1, 2\nb: 3\n", "line 2, column 2: not valid YAML"),
    ("a: 'x\n", "not valid YAML"),
    ("a:\n\t- 1\n", "line 2, column 1: not valid YAML"),
    ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ("a: &x [*x]\na: 1\n", "a: is there twice, lines 1 and 2"),
]


@pytest.mark.parametrize(("content", "says"), FILES)
def test_a_file_that_holds_no_campaign(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(content)
    with pytest.raises(CampaignError) as caught:
        load_campaign(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).count(str(path)) == 1


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="cannot be read: No such file"):
        load_campaign(tmp_path / "absent.yaml")
    with pytest.raises(CampaignError, match="cannot be read: Is a directory"):
        load_campaign(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CampaignError, match="not a text file"):
        load_campaign(binary)


def test_a_file_loads_as_its_mapping(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(json.dumps(SMALL))
    assert load_campaign(path) == load_mapping(SMALL)


def test_yaml_floats_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(json.dumps(SMALL)[:-1] + ', "potential": {"learning_rate": 5e-4}}')
    assert load_campaign(path).potential.learning_rate == 5e-4


def test_the_resolved_campaign_is_plain_json_and_loads_as_itself() -> None:
    campaign = load_mapping(SMALL)
    plain = json.loads(json.dumps(resolved(campaign), allow_nan=False))
    assert load_mapping(plain) == campaign


def every_key() -> list[str]:
    return [k.path for k in keys.keys_of(campaign_model("flow_battery")) if "[]" not in k.path]


@given(st.sampled_from(every_key()), st.text(string.ascii_lowercase, min_size=1, max_size=3))
def test_any_misspelling_is_refused_by_its_own_name(path: str, suffix: str) -> None:
    path = path.replace("<name>", "pbe")
    parent, _, name = path.rpartition(".")
    wrong = f"{parent}.{name}{suffix}".lstrip(".")
    known = {
        key.path.replace("<name>", "pbe") for key in keys.keys_of(campaign_model("flow_battery"))
    }
    if wrong not in known and not parent.endswith("levels") and path != "levels.pbe":
        assert f"  {wrong}: unknown key" in message(edited((wrong, 1)))


def test_the_schema_accepts_what_loads_and_refuses_what_does_not() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    validator.validate(SMALL)
    for wrong in (("stop.max_round", 3), ("levels.pbe.engine", "x"), ("domain", "x"), ("seed", -1)):
        assert not validator.is_valid(edited(wrong)), wrong


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import sys, molsieve.campaign, molsieve.loading, molsieve.acquisition.stopping\n"
        "import molsieve.domains.flow_battery.config\n"
        f"molsieve.loading.load_mapping({SMALL!r})\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    heavy = {"numpy", "pandas", "torch", "rdkit", "pyarrow", "ase", "pyscf", "scipy", "yaml"}
    assert not heavy & set(done.stdout.split())
