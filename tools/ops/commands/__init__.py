"""The operators' commands as a shell sees them: arguments in, tables and JSON out."""
