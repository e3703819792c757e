"""Benchmarks: the numbers of the design, each as a ratio or a time measured in one run on the machine at hand."""
