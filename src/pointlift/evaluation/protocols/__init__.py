"""How a representation is tested: one module per protocol."""
