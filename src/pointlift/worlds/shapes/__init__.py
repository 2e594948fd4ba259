"""The embedded object clouds: generated CAD-like objects with parts, and rendered views of them."""
