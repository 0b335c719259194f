"""Many clips: a local queue, or a Ray cluster."""
