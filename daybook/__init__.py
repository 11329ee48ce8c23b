"""The program: the command line, and the embedded default that starts every server."""

__version__ = "0.1.0"
