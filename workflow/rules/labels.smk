# Purpose: quantum chemistry. A label job packs many calculations; its output is only a receipt,
#   the labels themselves are in the label store, journaled one by one.
# Inputs: <results>/rounds/{round}/{selection,structures}.parquet, <results>/references/*.parquet
# Outputs: receipts, <results>/rounds/{round}/dataset/*.parquet, <results>/references/{level}/*


rule label_references:
    """Label the measured systems at a level."""
    input:
        structures="<results>/references/structures.parquet",
    output:
        receipt="<results>/references/{level}/receipt.parquet",
    log:
        "<logs>/label_references/{level}.log",
    conda:
        "../../envs/dft.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        campaign=campaign.campaign,
        level=level_of,
        atoms_level=campaign.labels.level,
    script:
        "../../scripts/label_references.py"


rule calibrate_level:
    """Fit a level to the measured systems, with its leave-one-out error."""
    input:
        species="<results>/references/species.parquet",
        structures="<results>/references/structures.parquet",
        receipt="<results>/references/{level}/receipt.parquet",
    output:
        references="<results>/references/{level}/references.parquet",
        calibration="<results>/references/{level}/calibration.json",
    log:
        "<logs>/calibrate_level/{level}.log",
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        level=level_of,
        objective=leaves("objective"),
    script:
        "../../scripts/calibrate_level.py"


rule label_batch:
    """Label one shard of a round's structures in a worker pool."""
    input:
        structures="<results>/rounds/{round}/structures.parquet",
    output:
        receipt="<results>/rounds/{round}/receipts/{shard}.parquet",
    log:
        "<logs>/label_batch/{round}_{shard}.log",
    conda:
        "../../envs/dft.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        campaign=campaign.campaign,
        level=level_leaves(campaign.labels.level),
        shards=campaign.labels.shards,
    script:
        "../../scripts/label_batch.py"


rule collect_labels:
    """Freeze the dataset that trains, calibrates and tests this round."""
    input:
        selections=selections_so_far,
        structures=selected_structures_so_far,
        receipts=receipts_so_far,
    output:
        dataset="<results>/rounds/{round}/dataset/dataset.parquet",
        structures="<results>/rounds/{round}/dataset/structures.parquet",
        labels="<results>/rounds/{round}/dataset/labels.parquet",
    log:
        "<logs>/collect_labels/{round}.log",
    conda:
        "../../envs/chem.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        campaign=campaign.campaign,
        level=level_leaves(campaign.labels.level),
        validation_share=campaign.potential.validation_share,
        seed=campaign.seed,
    script:
        "../../scripts/collect_labels.py"
