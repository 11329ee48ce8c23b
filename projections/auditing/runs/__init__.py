"""Reconciliations as resources: asked for, worked on, resumed, read."""
