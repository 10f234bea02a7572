"""A provider of generated songs that keeps its contract and nothing else."""
