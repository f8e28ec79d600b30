"""Who may mine, from where, on what: registers, admission, in-country evidence, the audit log."""
