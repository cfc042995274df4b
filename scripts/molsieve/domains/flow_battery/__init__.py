"""Organic flow-battery electrolytes: quinone/hydroquinone couples."""
