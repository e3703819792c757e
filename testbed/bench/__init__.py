"""Measurements: ratios of one run, printed by ``make bench``."""
