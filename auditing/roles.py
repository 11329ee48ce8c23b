"""The roles of PostgreSQL that the auditor works as: one reads, the other may repair rows."""

AUDITOR = "daybook_auditor"
REPAIRER = "daybook_repairer"
