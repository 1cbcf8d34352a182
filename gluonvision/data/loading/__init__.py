"""Samplers, batches and the workers that prefetch them."""
