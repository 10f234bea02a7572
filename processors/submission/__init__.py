"""Requests to the provider of generated songs, each sent once."""
