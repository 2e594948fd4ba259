"""nuScenes: its tables, splits, classes, poses and boxes, for the data set of the same name."""
