"""Frames -> people. This room has never heard of diffusion."""
