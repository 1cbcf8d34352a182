"""Evaluate models on data sets: scores, reports, and masks for test servers."""
