"""Tests of the benchmarks' arithmetic and of their worlds; never of their numbers."""
