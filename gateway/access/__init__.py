"""Who may ask for what: keys and tokens, roles and scopes, limits and quotas.

`door` is the one place that every request passes; the rest are the facts that it judges by.
"""
