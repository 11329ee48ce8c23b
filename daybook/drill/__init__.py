"""The tamper drill: corrupt a sandbox on purpose, and check that every corruption is found."""
