"""Webhook endpoints as their owners see and change them."""
