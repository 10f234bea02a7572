"""Mastering decisions: rules as data over measurements, their words, and what they promise."""
