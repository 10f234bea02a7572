"""Pictures of what was made, as PNG."""
