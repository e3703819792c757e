"""The test suite: a folder for each room of the package."""
