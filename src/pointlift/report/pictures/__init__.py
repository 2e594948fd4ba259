"""What a report shows as pictures."""
