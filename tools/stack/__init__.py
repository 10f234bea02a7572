"""Released Kafka, Cassandra, schema registry and S3 servers, run side by side without containers.

``Stack`` in ``tools.stack.stack`` is what tests use; ``melisma stack`` is the same from a shell.
"""
