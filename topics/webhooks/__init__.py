"""What the gateway and the deliveries share about webhook endpoints."""

from topics.webhooks.directory import Directory
from topics.webhooks.endpoints import Endpoint, Endpoints
from topics.webhooks.secrets import SigningKeys

__all__ = ["Directory", "Endpoint", "Endpoints", "SigningKeys"]
