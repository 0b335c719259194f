"""Degradation, datasets, losses and loops for the restorer and the face pack."""
