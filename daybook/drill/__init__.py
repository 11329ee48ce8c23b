"""The tamper drill: corrupt a sandbox on purpose, and see that it is noticed."""
