"""The documents that services exchange by reference: lyrics, karaoke, and what players read."""
