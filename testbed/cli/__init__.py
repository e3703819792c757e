"""The commands: parse, call, render, exit code. What they command lies in the other packages."""
