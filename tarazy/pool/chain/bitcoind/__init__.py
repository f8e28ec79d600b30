"""A chain kept by one or more bitcoind nodes, spoken to over JSON-RPC and ZMQ."""
