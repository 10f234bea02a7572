"""The artifact store: `protocol.py` says what every implementation keeps."""
