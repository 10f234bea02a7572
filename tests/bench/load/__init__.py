"""Batches of extraction under load, beside the first design on Celery and Redis."""
