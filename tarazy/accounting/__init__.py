"""What was done and what is owed: the share journal, rounds, schemes, the ledger, distributions."""
