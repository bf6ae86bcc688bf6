"""What a run draws: measured where the machine has counters, else estimated and marked so."""
