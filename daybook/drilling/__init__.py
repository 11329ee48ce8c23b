"""The tamper drill: every corruption that we know of, done on purpose, found and put right."""
