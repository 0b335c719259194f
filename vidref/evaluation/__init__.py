"""The image protocol, the video protocol, and the tables they print."""
