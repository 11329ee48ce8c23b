"""How Hypothesis runs here: a busy machine is no failure, and what is slow is seen elsewhere."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
