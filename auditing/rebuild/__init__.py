"""Rebuild all read models beside the live ones, compare them, and swap them in."""
