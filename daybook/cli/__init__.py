"""The command line: a module for each family of commands, and below `actions/` what they do.

The families import their actions when a command runs, so that `daybook --help` starts quickly.
"""
