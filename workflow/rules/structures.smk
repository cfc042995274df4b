# Purpose: three-dimensional structures of every species a candidate needs, and of the references.
# Inputs: <results>/candidates/{shard}.parquet
# Outputs: <results>/structures/{shard}/*.parquet, <results>/references/*.parquet


rule build_structures:
    """Conformers of each candidate's species, relaxed; what cannot be built is a row with a reason."""
    input:
        candidates="<results>/candidates/{shard}.parquet",
    output:
        species="<results>/structures/{shard}/species.parquet",
        structures="<results>/structures/{shard}/structures.parquet",
    log:
        "<logs>/build_structures/{shard}.log",
    conda:
        "../../envs/chem.yaml"
    threads: building_cores
    resources:
        mem_mb=building_memory,
        runtime=building_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        structures=leaves("structures"),
        seed=campaign.seed,
    script:
        "../../scripts/build_structures.py"


rule build_references:
    """Structures of the measured systems and of what every candidate shares (H2, free atoms)."""
    output:
        species="<results>/references/species.parquet",
        structures="<results>/references/structures.parquet",
    log:
        "<logs>/build_references.log",
    conda:
        "../../envs/chem.yaml"
    threads: building_cores
    resources:
        mem_mb=building_memory,
        runtime=building_runtime,
    params:
        campaign=campaign.campaign,
        domain=campaign.domain,
        structures=leaves("structures"),
        objective=objective_leaves(),
        elements=candidate_elements(),
        seed=campaign.seed,
    script:
        "../../scripts/build_references.py"
