"""The task benchmarks: four domains on public data, each method of the ablation."""
