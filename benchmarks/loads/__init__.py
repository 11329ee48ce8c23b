"""Load generators, each a process of its own, so that they use no CPU of the measured processes."""
