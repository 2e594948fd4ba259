"""Methods: what one pretraining step is. One module or folder per method."""
