"""Published weights: their sources, their formats, and the files in the package."""
