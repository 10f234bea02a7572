"""What operators do to a running product: look, replay, rebuild, provision.

Everything here reads and writes through `topics.log.protocol` and the gateway's stores, so it works
on whichever log the settings name.
"""
