"""Songs from a provider: asked for once, followed until they are made, copied to the store."""
