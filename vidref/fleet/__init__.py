"""Many clips, here or on a cluster: one schedule, two kinds of workers."""
