"""Tests of what installs, starts and boots the testbed."""
