"""How fast Daybook is on this machine, as ratios within one run."""
