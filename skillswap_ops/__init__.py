"""The command line: commands, wiring, and everything printed."""

__version__ = "0.1.0"
