"""The projection and the gateway's own rows in Apache Cassandra (5.0 or newer).

The driver is the extra ``cassandra`` of the distribution and is imported only where these modules
are; `gateway.projection.opening` imports them only where the settings name a cluster.
"""
