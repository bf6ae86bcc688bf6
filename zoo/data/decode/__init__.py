"""Films, pictures and sound to frames and samples, by time."""
