"""Tests of the protocol package: every message there and back, strictness, known answers, and two oracles."""
