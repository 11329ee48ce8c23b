"""Which lines of a bank statement are which entries of ours. Pure."""
