"""The wire: how miners talk to the pool, up to the verdict on a share.

The way through: `server` moves bytes, `codec` turns lines into messages, `session` talks, `state` is what is known of
one connection, `methods` and `submit` act on it, `board` holds the work of the moment, `share` judges, `ports` names
what the server needs from the rest of the house. Everything but `server` and `miner_client` is free of sockets, clocks
and disks. What is spoken stands in docs/stratum.md.
"""
