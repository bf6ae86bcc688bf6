"""Samples to batches, in worker processes."""
