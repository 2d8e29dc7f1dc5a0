"""The catapult: step sizes above 2/λ under which a network of two linear layers still converges."""
