"""Evaluation: what every protocol shares, and in ``protocols/`` one module per protocol."""
