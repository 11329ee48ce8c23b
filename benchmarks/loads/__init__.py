"""Processes that press on Daybook, so that what they cost is not what is measured."""
