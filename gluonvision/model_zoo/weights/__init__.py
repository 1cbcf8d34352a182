"""Published weights: where to get them, how to read them, and the files in the package."""
