"""Export a model to a file that runs elsewhere, and measure what it costs."""
