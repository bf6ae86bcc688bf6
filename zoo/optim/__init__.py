"""Optimisers, schedules and averages of weights, by the names that a recipe writes. Importing this imports no torch."""
