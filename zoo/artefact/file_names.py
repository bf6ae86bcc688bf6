"""What the files of a model folder are called."""

MANIFEST = "model.json"
WEIGHTS = "model.safetensors"
LABELS = "labels.json"
CONFIG = "config.json"
"""How other projects describe a model."""
