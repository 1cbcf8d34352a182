"""Evaluate a model on a data set: scores, reports and masks for test servers."""
