"""Rendering: the mastering chain as sound, block by block, and the match towards a reference."""
