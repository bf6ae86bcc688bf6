"""Which frames of a film make a clip, and where its window lies."""
