"""Image and mask files to NumPy arrays."""
