# Purpose: what to label next, and whether to go on.
# Inputs: candidates, structures, the last round's predictions, attack and dataset
# Outputs: <results>/rounds/{round}/{selection,structures,attack,metrics}.parquet, figures.json


rule select_batch:
    """Choose the structures that this round labels: one budget for candidates and geometries."""
    input:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
        species=expand(
            "<results>/structures/{shard}/species.parquet", shard=range(campaign.candidates.shards)
        ),
        structures=expand(
            "<results>/structures/{shard}/structures.parquet",
            shard=range(campaign.candidates.shards),
        ),
        calibration=f"<results>/references/{campaign.labels.level}/calibration.json",
        selections=earlier_selections,
        predictions=previous_predictions,
        attack=previous_attack,
        labels=previous_labels,
    output:
        selection="<results>/rounds/{round}/selection.parquet",
        structures="<results>/rounds/{round}/structures.parquet",
    log:
        "<logs>/select_batch/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=table_memory,
        runtime=table_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        acquisition=acquisition_of,
        objective=leaves("objective"),
        level=level_leaves(campaign.labels.level),
        seed=campaign.seed,
    script:
        "../../scripts/select_batch.py"


rule attack_structures:
    """Geometries on which the committee disagrees most while they stay plausible."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        members=expand(
            "<results>/rounds/{{round}}/committee/{member}/model.pt",
            member=range(campaign.potential.members),
        ),
    output:
        structures="<results>/rounds/{round}/attack.parquet",
    log:
        "<logs>/attack_structures/{round}.log",
    conda:
        "../../envs/ml.yaml"
    threads: attack_cores
    resources:
        mem_mb=attack_memory,
        runtime=attack_runtime,
        gpu=committee_gpus,
    params:
        campaign=campaign.campaign,
        attack=without(leaves("acquisition", "attack"), "share"),
        device=campaign.potential.device,
        seed=campaign.seed,
    script:
        "../../scripts/attack_structures.py"


checkpoint assess_round:
    """The round's figures. It knows neither limit nor threshold, so that raising one reruns nothing."""
    input:
        candidates=expand(
            "<results>/candidates/{shard}.parquet", shard=range(campaign.candidates.shards)
        ),
        species=expand(
            "<results>/structures/{shard}/species.parquet", shard=range(campaign.candidates.shards)
        ),
        built=expand(
            "<results>/structures/{shard}/structures.parquet",
            shard=range(campaign.candidates.shards),
        ),
        selections=selections_so_far,
        receipts=receipts_so_far,
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
        predictions=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet",
            shard=range(campaign.prediction.shards),
        ),
        evaluation="<results>/rounds/{round}/evaluation/metrics.parquet",
        evaluation_calibration="<results>/rounds/{round}/evaluation/calibration.json",
        calibration=f"<results>/references/{campaign.labels.level}/calibration.json",
    output:
        figures="<results>/rounds/{round}/figures.json",
        metrics="<results>/rounds/{round}/metrics.parquet",
    log:
        "<logs>/assess_round/{round}.log",
    retries: QUICK_RETRIES
    localrule: QUICK
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=table_memory,
        runtime=table_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        objective=leaves("objective"),
        seed=campaign.seed,
    script:
        "../../scripts/assess_round.py"
