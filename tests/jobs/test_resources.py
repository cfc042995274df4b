"""What jobs ask for: enough for their work, no more than is allowed, more at each attempt."""

import subprocess
import sys

import pytest

from molsieve.domains.flow_battery.config import FromFile, raw_candidates
from molsieve.jobs import resources
from molsieve.jobs.forecasts import Work
from molsieve.levels import PyscfLevel, TbliteLevel
from molsieve.loading import load_mapping
from tests.campaigns import edited

GFN2 = TbliteLevel(engine="tblite")
PBE = PyscfLevel(engine="pyscf", functional="PBE", basis="def2-SVP")
ON_GPU = PBE.model_copy(update={"device": "gpu"})


def campaign(**sections):
    """The small campaign with sections put in."""
    changed = [(f"{name}.{key}", v) for name, keys in sections.items() for key, v in keys.items()]
    return load_mapping(edited(*changed))


def test_parsing_pays_for_nothing_but_pydantic():
    code = (
        "import sys, molsieve.jobs.resources, molsieve.jobs.forecasts; "
        "print({'pandas', 'numpy', 'pyarrow', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("core_s, cores", [(0, 1), (1, 1), (70, 4), (1e6, 8)])
def test_cores_follow_the_work(core_s, cores):
    assert resources.cores(core_s) == cores


def test_a_label_job_has_no_worker_without_a_calculation():
    dear = Work(count=6, core_s=6000, longest_s=1000)
    assert resources.label_cores(PBE, dear, shards=2) == 3
    assert resources.label_cores(PBE, dear, shards=6) == 1
    assert resources.label_cores(GFN2, Work(1000, 20, 0.1), shards=1) == 1


def test_one_calculation_at_its_limit_always_fits_whatever_the_limits():
    run = {"calculation_time_limit_s": 7200, "longest_job_h": 2.1}
    asked = campaign(run=run)
    for work in (Work(0, 0, 0), Work(10_000, 1e7, 5000)):
        for attempt in (1, 2, 3):
            granted = resources.label_minutes(asked, PBE, work, 2, 8, attempt)
            assert granted * 60 >= 7200 + asked.run.wall_margin_s
    longer = resources.label_minutes(asked, PBE, Work(1, 1, 1), 1, 1, 1, time_limit_s=90_000)
    assert longer * 60 >= 90_000


def test_wall_time_grows_with_work_and_attempt_up_to_what_the_cluster_grants():
    asked = campaign(run={"calculation_time_limit_s": 60, "longest_job_h": 5})
    little, much = Work(8, 80, 10), Work(8000, 80_000, 10)
    first, second = (resources.label_minutes(asked, GFN2, little, 1, 8, a) for a in (1, 2))
    assert second == 2 * first
    assert resources.label_minutes(asked, GFN2, much, 1, 8, 1) > 4 * first
    whole = resources.label_minutes(asked, GFN2, much, 1, 8, 1)
    assert resources.label_minutes(asked, GFN2, much, 8, 8, 1) < whole / 4
    assert resources.label_minutes(asked, GFN2, Work(8, 1e9, 10), 1, 8, 3) == 300


def test_memory_follows_workers_engine_and_attempt():
    two, four = (resources.label_memory_mb(PBE, w, 1) for w in (2, 4))
    assert four - two == 2 * resources.WORKER_MB["pyscf"]
    assert resources.label_memory_mb(GFN2, 4, 1) < two
    assert resources.label_memory_mb(GFN2, 4, 2) > resources.label_memory_mb(GFN2, 4, 1)
    assert resources.label_memory_mb(ON_GPU, 4, 1) == resources.label_memory_mb(ON_GPU, 1, 1)


def test_gpus_are_asked_for_where_the_campaign_says_so():
    assert resources.on_gpu(ON_GPU) and not resources.on_gpu(PBE) and not resources.on_gpu(GFN2)
    for device, gpus in (("cpu", 0), ("gpu", 1), ("auto", 1)):
        assert resources.committee_gpus(campaign(potential={"device": device})) == gpus


def test_auto_on_this_machine_is_what_this_machine_has(monkeypatch, tmp_path):
    automatic = campaign(potential={"device": "auto"})
    monkeypatch.setattr(resources, "NVIDIA_DEVICE", str(tmp_path / "nvidia0"))
    assert resources.committee_gpus(automatic, here=True) == 0
    (tmp_path / "nvidia0").touch()
    assert resources.committee_gpus(automatic, here=True) == 1


def test_a_gpu_shortens_the_committees_jobs_and_costs_host_memory():
    asked = campaign()
    on_cpu = resources.committee_minutes(asked, 1e5, threads=2, gpus=0, attempt=1)
    on_gpu = resources.committee_minutes(asked, 1e5, threads=2, gpus=1, attempt=1)
    assert on_gpu < on_cpu / 10
    # What no GPU does asks for cores beside it, and for their time.
    beside = resources.committee_minutes(asked, 1e5, 2, 1, attempt=1, beside_s=3600.0)
    assert beside - on_gpu == pytest.approx(60, abs=1)
    assert resources.committee_cores(1e5, 1) == 2 < resources.committee_cores(1e5, 1, 3600.0)
    assert resources.committee_memory_mb(0, 1, 1) > resources.committee_memory_mb(0, 0, 1)


def test_training_is_in_proportion_to_atoms_and_epochs():
    once = resources.training_s(campaign(potential={"max_epochs": 100}), 1000)
    assert resources.training_s(campaign(potential={"max_epochs": 300}), 2000) == 6 * once


def test_files_that_are_not_there_yet_count_as_expected(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert resources.file_bytes([tmp_path / "a", tmp_path / "a"], 7.0) == 10
    assert resources.file_bytes([tmp_path / "a", tmp_path / "b"], 7.0) == 7


def test_sizes_of_tables_and_counts_agree():
    assert resources.atoms_in(resources.bytes_of_structures(50)) == pytest.approx(50 * 30)
    assert resources.candidates_in(10_000 + 250 * 40) == 40
    assert resources.candidates_in(900) == 0


def test_large_campaigns_read_their_tables_on_the_cluster():
    assert resources.is_small(campaign())
    assert not resources.is_small(campaign(candidates={"shards": 50}))
    assert not resources.is_small(campaign(stop={"max_labels": 20_000}))


def test_the_raw_space_counts_every_pattern_and_a_missing_file_nothing(tmp_path):
    source = campaign().candidates.source
    assert raw_candidates(source) > 0
    path = tmp_path / "space.smi"
    file = FromFile(kind="file", path=str(path))
    assert raw_candidates(file) == 0
    path.write_text("CCO\n" * 300)
    assert raw_candidates(file) == 40


def test_a_space_of_millions_of_emitters_fits_a_node():
    structures = resources.bytes_of_structures(1.5e6, 60)
    light, whole = (resources.space_memory_mb(1.5e6, size, 1) for size in (0, structures))
    assert 1.5e6 * 4e-3 < light < 16_000  # 4 kB measured for a candidate and its predictions
    assert light + 1.5e6 * 6e-3 < whole < 32_000  # 6 kB measured for a structure of 60 atoms
    asked = load_mapping(edited(("run", {"longest_job_h": 24})))
    assert resources.space_minutes(asked, 1.5e6, 1) < resources.space_minutes(asked, 1.5e6, 2) < 600
