"""Webhooks: from a notification to the receivers that want it (Standard Webhooks 1.0.0)."""
