"""Extraction: accepting files, one or ten thousand, and showing what was found in them."""
