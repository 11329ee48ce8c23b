"""The worker processes, each under the one loop.

Each is a module that imports what it alone does: a process that speaks no SQS starts in half the
time, and in less memory.
"""
