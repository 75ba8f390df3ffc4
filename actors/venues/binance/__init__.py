"""Binance, USD-M perpetuals and spot: the wire dialect in both roles, without any input or output."""
