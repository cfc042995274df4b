# Purpose: what to label next, and whether to go on.
# Inputs: candidates, structures, the last round's predictions, geometries and dataset
# Outputs: <results>/rounds/{round}/{selection,structures,geometries,metrics}.parquet, figures.json


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
        minima=previous_minima,
        labelled=previously_labelled_minima,
        calibration=f"<results>/references/{OBJECTIVE_LEVEL}/calibration.json",
        selections=earlier_selections,
        predictions=previous_predictions,
        geometries=previous_geometries,
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
        mem_mb=selection_memory,
        runtime=space_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        acquisition=acquisition_of,
        objective=objective_of,
        level=level_leaves(campaign.labels.level),
        seed=campaign.seed,
    script:
        "../../scripts/select_batch.py"


rule propose_geometries:
    """Distorted geometries that are worth a label: by attack, dynamics, normal modes or at random."""
    input:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        members=expand(
            "<results>/rounds/{{round}}/committee/{member}/model.pt",
            member=range(campaign.potential.members),
        ),
    output:
        geometries="<results>/rounds/{round}/geometries.parquet",
        metrics="<results>/rounds/{round}/geometry_metrics.parquet",
    log:
        "<logs>/propose_geometries/{round}.log",
    conda:
        "../../envs/ml.yaml"
    threads: proposal_cores
    resources:
        mem_mb=proposal_memory,
        runtime=proposal_runtime,
        gpu=committee_gpus,
    params:
        campaign=campaign.campaign,
        geometries=geometry_leaves(),
        device=campaign.potential.device,
        seed=campaign.seed,
    script:
        "../../scripts/propose_geometries.py"


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
        labelled=labelled_minima,
        selections=selections_so_far,
        receipts=receipts_so_far,
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        labels=OBJECTIVE_LABELS,
        predictions=expand(
            "<results>/rounds/{{round}}/predictions/{shard}/predictions.parquet",
            shard=range(campaign.prediction.shards),
        ),
        evaluation="<results>/rounds/{round}/evaluation/metrics.parquet",
        geometry_metrics=measured_by_geometries,
        evaluation_calibration="<results>/rounds/{round}/evaluation/calibration.json",
        calibration=f"<results>/references/{OBJECTIVE_LEVEL}/calibration.json",
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
        mem_mb=assessment_memory,
        runtime=space_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        objective=leaves("objective"),
        seed=campaign.seed,
    script:
        "../../scripts/assess_round.py"
