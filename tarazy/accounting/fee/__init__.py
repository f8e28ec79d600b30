"""The digital-mining fee of a quarter, computed from energy by the dated rules of `config.law`."""
