"""Faster ways to compute what plain torch computes too."""
