"""Files <-> frames. This room has never heard of a face."""
