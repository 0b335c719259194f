"""The only room that knows media, faces and model at once."""
