"""What a run found, as plain data, and its renderers (console, JSON, JUnit)."""
