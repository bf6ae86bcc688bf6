"""Several processes that train one model. Importing this imports no torch."""
