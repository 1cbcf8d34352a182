"""Figures, masks and HTML pages that the package draws."""
