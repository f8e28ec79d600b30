"""The wire: how miners talk to the pool, up to the verdict on a share.

The way through: `server` moves bytes, `codec` turns lines into messages, `session` is one connection, `board`
holds the work of the moment, `share` judges, `ports` names what the server needs from the rest of the house.
Everything but `server` and the client at the end of `miner` is free of sockets, clocks and disks.
"""
