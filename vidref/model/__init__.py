"""Degraded crops + references -> restored crops. This room has never heard of video."""
