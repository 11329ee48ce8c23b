"""The formats that a bank statement may have, each read into one `Statement`."""
