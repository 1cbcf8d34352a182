"""Download, verify and unpack a data set."""
