"""Evaluation: benchmarks and repositories filled by the engine as users run it, and measured the same way each time."""
