"""Published weights: where they are, how they are read, and the files that ship with the package."""
