"""The schema of the database: one numbered list of migrations, and what applies them.

The list is one because its order is one. Each migration belongs to the rooms whose tables it makes
or changes. The table stands here because a file that was applied must never change.

    0001_roles                     daybook, web
    0002_log                       events
    0003_command                   command_side
    0004_read                      projections, auditing
    0005_tokens_of_several_ledgers web
    0006_accounting                command_side, projections
    0008_reconciliations           auditing
    0009_repairs                   auditing
    0010_seals                     sealing
    0011_external_statements       bank_statements
    0012_four_ways                 auditing
    0013_repairs_ask_the_seal      sealing, auditing
    0014_accounts_stored_late      command_side
    0015_transactions_by_position  projections
"""
