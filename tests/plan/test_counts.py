"""The plan: counts that add up and follow the limits, prices that scale as the work does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.chem.molecules import parse_molecule
from molsieve.domains.flow_battery import candidates as flow_battery
from molsieve.domains.flow_battery.sample import measured_species, sample_species
from molsieve.plan import pricing
from molsieve.plan.counts import file_count, jobs_by_rule, labels_by_round, plan
from molsieve.prices import KERNEL_SPEEDUP
from molsieve.section import CampaignError
from tests.report.campaign_tables import campaign


def small(tmp_path, **changes):
    """A campaign whose label store does not exist, so that default prices hold."""
    return campaign(run={"label_store": str(tmp_path / "store")}, **changes)


@pytest.fixture()
def planned(tmp_path):
    return plan(small(tmp_path))


def test_sums_are_sums(planned):
    assert planned.core_hours == pytest.approx(sum(s.core_hours for s in planned.stages))
    assert planned.job_count == sum(planned.jobs.values())
    assert planned.space.species == 2 * planned.space.candidates
    rounds = sum(planned.labels_by_round)
    measured = planned.space.measured
    # top 5 and 2 controls, two species each; two geometries at the label level, one at the other
    assert planned.labels_by_level["dft"] == len(measured) + 14
    assert planned.labels_by_level["xtb"] == rounds + len(measured) + planned.space.elements + 28


def test_candidates_are_counted_by_the_domain(planned, tmp_path):
    section = small(tmp_path).candidates
    assert planned.space.raw_candidates == flow_battery.count_candidates(section)[0]
    made = [r for r in flow_battery.iterate_candidates(section) if r["status"] == "accepted"]
    assert len(made) <= planned.space.raw_candidates


@settings(max_examples=50, deadline=None)
@given(
    seed_labels=st.integers(60, 500),
    batch_labels=st.integers(60, 300),
    max_rounds=st.integers(1, 30),
    max_labels=st.integers(500, 3000),
)
def test_rounds_keep_within_both_limits(seed_labels, batch_labels, max_rounds, max_labels):
    counts = labels_by_round(
        campaign(
            acquisition={"seed_labels": seed_labels, "batch_labels": batch_labels},
            stop={"max_rounds": max_rounds, "max_labels": max_labels},
        )
    )
    assert counts[0] == seed_labels
    assert set(counts[1:]) <= {batch_labels}
    assert len(counts) <= max_rounds
    assert len(counts) == 1 or sum(counts) <= max_labels
    # One round more would break a limit.
    assert len(counts) == max_rounds or sum(counts) + batch_labels > max_labels


def test_jobs_of_a_round_come_once_a_round():
    one, two, three = (jobs_by_rule(campaign(), r) for r in (1, 2, 3))
    for rule in one:
        assert three[rule] - two[rule] == two[rule] - one[rule], rule
    assert one["propose_geometries"] == 0
    per_round = sum(two.values()) - sum(one.values())
    # select, collect, evaluate, propose, assess; 2 label shards, 4 members, 2 prediction shards
    assert per_round == 5 + 2 + 4 + 2


@pytest.mark.slow
def test_jobs_are_those_of_a_dry_run(tmp_path):
    repository = Path(__file__).parents[2]
    path = tmp_path / "tiny.yaml"
    settings = small(tmp_path)
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules"]
    command += ["--snakefile", str(repository / "Snakefile"), "--configfile", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    table = (done.stdout + done.stderr).partition("Job stats:")[2].partition("total")[0]
    counted = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.M)}
    assert counted == jobs_by_rule(settings, settings.stop.max_rounds)


def test_one_level_for_everything_is_labelled_and_calibrated_once():
    same = campaign(ranking={"confirm": {"level": "xtb"}})
    jobs = jobs_by_rule(same, 2)
    assert jobs["calibrate_level"] == jobs["label_references"] == 1
    assert jobs["confirm_hits"] == same.ranking.confirm.shards
    assert list(plan(same).labels_by_level) == ["xtb"]


def test_files_grow_with_rounds_by_what_a_round_writes():
    grown = file_count(campaign(), 3) - file_count(campaign(), 2)
    outputs = 2 + 2 + 3 + 2 * 4 + 3 + 2 * 2 + 2 + 2  # as listed in the contracts, by rule
    logs, store = 2 * 13, 2 * 2
    # The newest attempt of 2 label jobs; outputs and digests of 4 members, the evaluation, 2
    # prediction jobs and the geometries; forecast.json and retries.json.
    beside = 2 + (2 * 4 + 4) + (3 + 1) + (2 * 2 + 2) + (2 + 1) + 2
    assert grown == outputs + logs + store + beside


def test_dearer_settings_cost_more_in_proportion(tmp_path):
    def of(name, **changes):
        return next(s for s in plan(small(tmp_path, **changes)).stages if s.name == name)

    base = of("training").core_hours
    assert of("training", potential={"members": 8}).core_hours == pytest.approx(2 * base)
    assert of("training", potential={"max_epochs": 600}).core_hours == pytest.approx(2 * base)
    base = of("prediction").core_hours
    still = of("prediction", prediction={"max_steps": 0}).core_hours
    assert base == pytest.approx(61 * still)


def test_a_gpu_moves_the_hours_and_divides_them(tmp_path):
    on_cpu = plan(small(tmp_path))
    on_gpu = plan(small(tmp_path, potential={"device": "gpu"}))
    assert on_cpu.gpu_hours == 0
    moved = {s.name: s.core_hours for s in on_cpu.stages if s.core_hours != 0}
    left = {s.name for s in on_gpu.stages if s.core_hours != 0}
    assert set(moved) - left == {"training", "prediction", "geometries"}
    # On a CPU members are evaluated by a compiled kernel; a GPU is measured against plain torch.
    plain = KERNEL_SPEEDUP * (moved["prediction"] + moved["geometries"]) + moved["training"]
    assert on_gpu.gpu_hours == pytest.approx(plain / pricing.GPU_SPEEDUP)


def test_search_for_geometries_is_priced_by_its_sources(tmp_path):
    def of(**section):
        settings = small(tmp_path, acquisition={"geometries": {"starts": 10, **section}})
        return next(s for s in plan(settings).stages if s.name == "geometries").core_hours

    attack = of()
    assert of(share=0) == 0
    assert of(attack={"steps": 60}) > 1.4 * attack
    mixed = {"mix": {"attack": 1, "dynamics": 1}, "dynamics": {"length_ps": 1.0}}
    # 2000 steps beside 61 of the minima and 30 of an attack, and the last round's search too.
    assert of(**mixed) > 14 * attack
    longer = {**mixed, "dynamics": {"length_ps": 2.0}}
    assert of(**longer) == pytest.approx(2 * of(**mixed), rel=0.1)
    modes = of(mix={"attack": 0, "normal_modes": 1})
    assert 1 < modes / of(mix={"attack": 0, "random": 1}) < 4


def test_dynamics_is_searched_in_the_last_round_too():
    mixed = {"mix": {"attack": 0, "dynamics": 1}}
    settings = campaign(acquisition={"geometries": mixed})
    assert jobs_by_rule(settings, 3)["propose_geometries"] == 3
    settings = campaign(acquisition={"geometries": {"share": 0}})
    assert jobs_by_rule(settings, 3)["propose_geometries"] == 0


def test_labels_are_priced_by_the_cost_model(tmp_path):
    priced = plan(small(tmp_path))
    model, level = pricing.CostModel(), small(tmp_path).level("dft")
    hits = 14 * pricing.mean_cost_s(model, priced.space.numbers, level)
    measured = sum(model.predicted_cost_s(n, level) for n in priced.space.measured)
    stage = next(s for s in priced.stages if s.name == "labels at dft")
    expected = (hits + measured) * (1 + pricing.RECOVERY_SHARE) / 3600
    assert stage.core_hours == pytest.approx(expected)


def test_the_sample_has_the_compositions_of_the_space():
    section = campaign().candidates
    sample = sample_species(section, 200, seed=3)
    assert sample_species(section, 200, seed=3) == sample
    made = flow_battery.iterate_candidates(section)
    formulas = {
        tuple(sorted(_numbers(row["identifier"]))) for row in made if row["status"] == "accepted"
    }
    oxidised, reduced = sample.numbers[::2], sample.numbers[1::2]
    assert {tuple(sorted(n)) for n in oxidised} <= formulas
    assert all(sorted([*o, 1, 1]) == sorted(r) for o, r in zip(oxidised, reduced, strict=True))


def _numbers(smiles: str) -> list[int]:
    molecule = parse_molecule(smiles)
    heavy = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    return heavy + [1] * sum(atom.GetTotalNumHs() for atom in molecule.GetAtoms())


def test_size_filters_show_in_the_expected_number(tmp_path):
    section = campaign().candidates.model_dump()
    section["filters"]["max_heavy_atoms"] = 9
    priced = plan(small(tmp_path, candidates=section))
    assert 0 < priced.space.candidates < priced.space.raw_candidates
    heavy = [sum(z > 1 for z in numbers) for numbers in priced.space.numbers]
    assert max(heavy) <= 9


def test_candidates_of_a_file(tmp_path):
    path = tmp_path / "quinones.smi"
    path.write_text("O=C1C=CC(=O)C=C1\nCC1=CC(=O)C=CC1=O\nCCO\n")
    section = {"source": {"kind": "file", "path": str(path)}}
    priced = plan(small(tmp_path, candidates=section))
    assert priced.space.raw_candidates == 3
    assert sorted(map(len, priced.space.numbers)) == [12, 14, 15, 17]


def test_a_file_without_a_usable_candidate_is_the_author_s_mistake(tmp_path):
    path = tmp_path / "ethanol.smi"
    path.write_text("CCO\n")
    section = {"source": {"kind": "file", "path": str(path)}}
    with pytest.raises(CampaignError, match="candidates"):
        plan(small(tmp_path, candidates=section))


def test_measured_couples_named_in_the_campaign_are_those_priced():
    every = measured_species(campaign().objective)
    assert len(every) % 2 == 1 and every[-1] == [1, 1]
