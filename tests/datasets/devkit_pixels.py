"""Run by the official devkit's own Python: pixels and depths of one keyframe's points in every camera, as its classes
compute them, into an .npz file.

    python devkit_pixels.py ROOT VERSION OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import view_points
from pyquaternion import Quaternion


def main(root: str, version: str, out: str) -> None:
    nusc = NuScenes(version=version, dataroot=root, verbose=False)
    sample = nusc.sample[0]
    lidar = nusc.get("sample_data", sample["data"]["LIDAR_TOP"])
    arrays = {}
    for channel, token in sample["data"].items():
        if not channel.startswith("CAM"):
            continue
        image = nusc.get("sample_data", token)
        cloud = LidarPointCloud.from_file(f"{root}/{lidar['filename']}")
        for record in (
            nusc.get("calibrated_sensor", lidar["calibrated_sensor_token"]),
            nusc.get("ego_pose", lidar["ego_pose_token"]),
        ):
            cloud.rotate(Quaternion(record["rotation"]).rotation_matrix)
            cloud.translate(np.array(record["translation"]))
        sensor = nusc.get("calibrated_sensor", image["calibrated_sensor_token"])
        for record in (nusc.get("ego_pose", image["ego_pose_token"]), sensor):
            cloud.translate(-np.array(record["translation"]))
            cloud.rotate(Quaternion(record["rotation"]).rotation_matrix.T)
        pixels = view_points(cloud.points[:3], np.array(sensor["camera_intrinsic"]), normalize=True)[:2]
        arrays[channel] = np.vstack([pixels, cloud.points[2:3]])
        seen = nusc.explorer.map_pointcloud_to_image(lidar["token"], token)[0]
        arrays[f"{channel}_seen"] = seen[:2]  # what its own function keeps
    _, boxes, _ = nusc.get_sample_data(lidar["token"])
    arrays["boxes"] = np.array([[*box.center, *box.wlh, *box.orientation.rotation_matrix[:2, 0]] for box in boxes])
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
