"""The data sets: each lists the files of a split and says how its masks are read."""
