"""Clips of generated songs, and what a channel wants done with the song besides."""
