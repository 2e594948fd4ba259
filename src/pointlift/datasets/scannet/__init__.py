"""ScanNet: the official lists, the classes, and the files of one scan."""
