"""Every figure and page that the package draws."""
