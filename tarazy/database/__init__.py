"""The ledger database: how it is opened, its column types, its migrations. Rooms define their own tables."""
