# Purpose: what each job asks its scheduler for, and which jobs are none: functions of wildcards,
#   inputs and attempt around the arithmetic of scripts/molsieve/jobs/resources.py.
# Inputs: the campaign; sizes of input files and forecasts of label work where they are there
# Outputs: threads and resources of every rule, QUICK
from molsieve import prices

from molsieve.jobs import resources
from molsieve.jobs.forecasts import read_forecast

# Where reading every candidate and label takes seconds, the login node does it: a job on a cluster
# costs about as much to start. There nothing but the input can be at fault, so no second try.
QUICK = resources.is_small(campaign)
QUICK_RETRIES = 0 if QUICK else None

RAW_CANDIDATES = domain_config.raw_candidates(campaign.candidates.source)
HELD_CANDIDATES = getattr(domain_config, "HELD_CANDIDATES", RAW_CANDIDATES)
CANDIDATES = RAW_CANDIDATES / campaign.candidates.shards


def size_of(files, missing):
    """Bytes of one input or several; ``missing`` before they are there."""
    return resources.file_bytes([files] if isinstance(files, str) else files, missing)


def screening_cores(wildcards):
    return resources.cores(RAW_CANDIDATES * prices.SCREEN_S)


def screening_memory(wildcards, attempt):
    return resources.screening_memory_mb(min(RAW_CANDIDATES, HELD_CANDIDATES), attempt)


def screening_runtime(wildcards, threads, attempt):
    return resources.minutes(campaign, RAW_CANDIDATES * prices.SCREEN_S / threads, attempt)


def building_s(species):
    """Core-seconds to build this many of the domain's species."""
    return resources.building_s(
        domain_config.building_s, campaign.structures, species, domain_config.TYPICAL_ELECTRONS
    )


def building_work(input):
    """Core-seconds to build the species of a shard of candidates, or the measured systems."""
    if not input:
        return building_s(domain_config.MEASURED_SPECIES)
    candidates = size_of(input.candidates, CANDIDATES * prices.CANDIDATE_BYTES)
    return building_s(domain_config.SPECIES * resources.candidates_in(candidates))


def building_cores(wildcards, input):
    return resources.cores(building_work(input))


def building_memory(wildcards, threads, attempt):
    return resources.worker_memory_mb(threads, attempt)


def building_runtime(wildcards, input, threads, attempt):
    return resources.minutes(campaign, building_work(input) / threads, attempt)


def label_task(wildcards):
    """Of a label job: level, work of all its shards, how many they are, a calculation's limit.

    The work is as forecast when the structures were chosen, else counted from the campaign.
    """
    if order := wildcards.get("order") and order_of(wildcards):
        level = campaign.level(order.level)
        folder, count = ROUNDS.parent / "retries" / str(order.number), order.calculations
        work = read_forecast(folder, order.level) or expected_labels(level, count)
        return level, work, order.shards, order.time_limit_s
    name = wildcards.get("level", campaign.labels.level)
    folder, count, shards = ROUNDS.parent / "references", domain_config.MEASURED_SPECIES, 1
    if round := wildcards.get("round"):
        folder, count, shards = ROUNDS / round, labels_of(int(round)), campaign.labels.shards
        if wildcards.get("level"):
            confirm = campaign.ranking.confirm
            count = resources.hits(confirm, domain_config.SPECIES)
            folder, shards = folder / "hits", confirm.shards
    level = campaign.level(name)
    work = read_forecast(folder, name) or expected_labels(level, count)
    return level, work, shards, None


def expected_labels(level, count):
    """The work of labels of the domain's typical size."""
    electrons, periodic = domain_config.TYPICAL_ELECTRONS, domain_config.PERIODIC
    return resources.expected_labels(level, count, electrons, periodic)


def labels_of(round):
    """Labels of a round, at most."""
    return campaign.acquisition.batch_labels if round else campaign.acquisition.seed_labels


def label_cores(wildcards):
    level, work, shards, _ = label_task(wildcards)
    return resources.label_cores(level, work, shards)


def label_memory(wildcards, threads, attempt):
    return resources.label_memory_mb(label_task(wildcards)[0], threads, attempt)


def label_runtime(wildcards, threads, attempt):
    level, work, shards, limit_s = label_task(wildcards)
    return resources.label_minutes(campaign, level, work, shards, threads, attempt, limit_s)


def label_gpus(wildcards):
    return int(resources.on_gpu(label_task(wildcards)[0]))


def fidelity_work(wildcards):
    """The better level and its labels of a round, all shards together.

    As forecast when the structures were chosen; before, of the seed all that judges and its share of
    the rest, of later rounds everything, as most was acquired.
    """
    level, judged = campaign.level(OBJECTIVE_LEVEL), campaign.acquisition.seed_random_share
    share = 1.0 if int(wildcards.round) else judged + (1 - judged) * FIDELITY["share"]
    count = resources.part_of(labels_of(int(wildcards.round)), share)
    forecast = read_forecast(ROUNDS / wildcards.round, OBJECTIVE_LEVEL)
    return level, forecast or expected_labels(level, count)


def fidelity_cores(wildcards):
    return resources.label_cores(*fidelity_work(wildcards), campaign.labels.shards)


def fidelity_memory(wildcards, threads, attempt):
    return resources.label_memory_mb(campaign.level(OBJECTIVE_LEVEL), threads, attempt)


def fidelity_runtime(wildcards, threads, attempt):
    work = fidelity_work(wildcards)
    return resources.label_minutes(campaign, *work, campaign.labels.shards, threads, attempt)


def fidelity_gpus(wildcards):
    return int(resources.on_gpu(campaign.level(OBJECTIVE_LEVEL)))


def committee_gpus(wildcards=None):
    """GPUs of a job with members. Which executor runs it is not known before the rules are read."""
    return resources.committee_gpus(campaign, here=workflow.local_exec)


def dataset_size(wildcards, input):
    """Bytes of the dataset's structures, as they are or as many as its round has labels."""
    labels = resources.labels_so_far(campaign, int(wildcards.round))
    expected = resources.bytes_of_structures(labels, domain_config.TYPICAL_ATOMS)
    return size_of(input.structures, expected)


def training_work(wildcards, input):
    return resources.training_s(campaign, resources.atoms_in(dataset_size(wildcards, input)))


def training_memory(wildcards, input, attempt):
    return resources.committee_memory_mb(
        3 * dataset_size(wildcards, input), committee_gpus(), attempt
    )


def training_runtime(wildcards, input, threads, attempt):
    work = training_work(wildcards, input)
    return resources.committee_minutes(campaign, work, threads, committee_gpus(), attempt)


def evaluation_work(wildcards, input):
    """A dataset's structures evaluated as they are, and relaxed as candidates are."""
    atoms = resources.atoms_in(dataset_size(wildcards, input))
    return resources.evaluation_s(campaign, atoms, campaign.prediction.max_steps + 1)


def evaluation_cores(wildcards, input):
    return resources.committee_cores(evaluation_work(wildcards, input), committee_gpus())


def evaluation_memory(wildcards, input, attempt):
    built = size_of(input.built, built_size(len(input.built)))
    if not LABELS_MINIMA:  # of the built only what is labelled, and a file at a time
        built = min(built, dataset_size(wildcards, input) + built / len(input.built))
    tables = dataset_size(wildcards, input) + built
    return resources.committee_memory_mb(tables, committee_gpus(), attempt)


def evaluation_runtime(wildcards, input, threads, attempt):
    work = evaluation_work(wildcards, input)
    return resources.committee_minutes(campaign, work, threads, committee_gpus(), attempt)


def built_size(shards):
    """Bytes of the structures of some shards of candidates, before they are built."""
    species = domain_config.SPECIES * CANDIDATES * shards
    return resources.bytes_of_structures(species, domain_config.TYPICAL_ATOMS)


def shards_read(input):
    """The files of structures that a prediction job reads, whole."""
    return input.structures if isinstance(input.structures, list) else [input.structures]


def predicted_atoms(input):
    """Atoms of a prediction job's own part of the candidate shards that it reads."""
    shards = shards_read(input)
    share = campaign.candidates.shards / campaign.prediction.shards / len(shards)
    return resources.atoms_in(size_of(shards, built_size(len(shards)))) * min(1, share)


def prediction_work(wildcards, input):
    """All of them relaxed to the last step."""
    steps = campaign.prediction.max_steps + 1
    return resources.evaluation_s(campaign, predicted_atoms(input), steps)


def description_work(input):
    """What property heads read beside the geometry; 0 without heads."""
    atoms = domain_config.TYPICAL_ATOMS
    return prices.description_s(campaign, predicted_atoms(input) / atoms, atoms)


def prediction_cores(wildcards, input):
    work = prediction_work(wildcards, input)
    return resources.committee_cores(work, committee_gpus(), description_work(input))


def prediction_memory(wildcards, input, attempt):
    tables = size_of(input.structures, built_size(len(shards_read(input))))
    return resources.committee_memory_mb(tables, committee_gpus(), attempt)


def prediction_runtime(wildcards, input, threads, attempt):
    work, beside = prediction_work(wildcards, input), description_work(input)
    return resources.committee_minutes(campaign, work, threads, committee_gpus(), attempt, beside)


def proposal_cores(wildcards):
    work = resources.proposal_s(campaign, domain_config.TYPICAL_ATOMS)
    return resources.committee_cores(work, committee_gpus())


def proposal_memory(wildcards, input, attempt):
    return resources.committee_memory_mb(dataset_size(wildcards, input), committee_gpus(), attempt)


def proposal_runtime(wildcards, threads, attempt):
    work = resources.proposal_s(campaign, domain_config.TYPICAL_ATOMS)
    return resources.committee_minutes(campaign, work, threads, committee_gpus(), attempt)


def collecting_memory(wildcards, input, attempt):
    return resources.table_memory_mb(3 * dataset_size(wildcards, input), attempt)


def collecting_runtime(wildcards, input, attempt):
    return resources.table_minutes(campaign, 3 * dataset_size(wildcards, input), attempt)


def fidelity_collecting_size(wildcards):
    """Bytes of a dataset's labels at the better level, at most."""
    labels = resources.labels_so_far(campaign, int(wildcards.round))
    return 3 * resources.bytes_of_structures(labels, domain_config.TYPICAL_ATOMS)


def fidelity_collecting_memory(wildcards, attempt):
    return resources.table_memory_mb(fidelity_collecting_size(wildcards), attempt)


def fidelity_collecting_runtime(wildcards, attempt):
    return resources.table_minutes(campaign, fidelity_collecting_size(wildcards), attempt)


def candidates_of(input):
    """How many candidates a rule that reads them all has."""
    size = size_of(input.candidates, RAW_CANDIDATES * prices.CANDIDATE_BYTES)
    return resources.candidates_in(size)


def space_memory(input, attempt, *structures):
    """For a rule that reads all candidates, and these of its inputs' structures whole."""
    if LABELS_MINIMA:  # these are read several times, with what was relaxed of them
        return table_memory(None, input, attempt)
    whole = built_size(campaign.candidates.shards)
    read = sum(size_of(files, whole) for files in structures if files)
    return resources.space_memory_mb(candidates_of(input), read, attempt)


def space_runtime(wildcards, input, attempt):
    if LABELS_MINIMA:
        return table_runtime(wildcards, input, attempt)
    return resources.space_minutes(campaign, candidates_of(input), attempt)


def selection_memory(wildcards, input, attempt):
    return space_memory(input, attempt, input.minima or input.structures)


def assessment_memory(wildcards, input, attempt):
    return space_memory(input, attempt)


def hits_memory(wildcards, input, attempt):
    return space_memory(input, attempt)


def ranking_memory(wildcards, input, attempt):
    """With several objectives only the hits' structures are read."""
    several = hasattr(campaign.objective, "goals")
    return space_memory(input, attempt, *(() if several else (input.built, input.minima)))


def report_memory(wildcards, input, attempt):
    return space_memory(input, attempt)


def table_size(input):
    """Bytes of the tables that a rule reads, all candidates' where they are not there yet."""
    return size_of(input, 3 * built_size(campaign.candidates.shards))


def table_memory(wildcards, input, attempt):
    return resources.table_memory_mb(table_size(input), attempt)


def table_runtime(wildcards, input, attempt):
    return resources.table_minutes(campaign, table_size(input), attempt)
