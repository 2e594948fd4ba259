"""Opening nuScenes: pointlift's reader of the tables against plain json.load of the same tables.

    python benchmarks/nuscenes_tables.py
    python benchmarks/nuscenes_tables.py --folder FOLDER --keep     # writes 1.9 GB, and keeps it for the next time

The tables are synthetic, in the official schema and formatting and of the size of v1.0-trainval: 850 scenes, 34,149
keyframes (28,130 in the official train split, give or take) and every sweep of six cameras, five radars and the LiDAR,
2.6 million rows each of sample_data.json and ego_pose.json. There are no sensor files. Every opening is a process of
its own, which reports its time and its peak memory; where a machine is busy with other work, processor time is the fair
one. The files are read once before, so that all find them in the memory of the operating system.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pointlift.datasets.nuscenes.splits import SPLITS

CAMERAS = ("FRONT", "FRONT_RIGHT", "BACK_RIGHT", "BACK", "BACK_LEFT", "FRONT_LEFT")
RADARS = ("FRONT", "FRONT_LEFT", "FRONT_RIGHT", "BACK_LEFT", "BACK_RIGHT")
# Channel, its file ending, and its images or scans in a keyframe's half second; together 77 a keyframe.
CHANNELS = (
    [("LIDAR_TOP", "pcd.bin", 10)]
    + [(f"CAM_{side}", "jpg", 6) for side in CAMERAS]
    + [(f"RADAR_{side}", "pcd", 6 + (side == "FRONT")) for side in RADARS]
)
KEYFRAMES = 34_149
TABLES = ("scene", "sample", "sensor", "calibrated_sensor", "sample_data", "ego_pose")
MODULE = "pointlift.datasets.nuscenes.dataset"
DRAW = random.Random(0)


def token() -> str:
    return f"{DRAW.getrandbits(128):032x}"


def write_table(path: Path, rows: Iterator[str]) -> None:
    with path.open("w") as file:
        file.write("[\n")
        for number, row in enumerate(rows):
            file.write((",\n" if number else "") + row)
        file.write("\n]")


def row_of(values: dict[str, object]) -> str:
    return json.dumps(values, indent=0)


def write_root(root: Path) -> None:
    """Tables without sensor files, formatted as the official ones: every value on a line of its own, no indentation."""
    folder = root / "v1.0-trainval"
    folder.mkdir(parents=True)
    names = sorted({*SPLITS["train"], *SPLITS["val"]})
    scenes = {name: token() for name in names}
    sensors = {channel: token() for channel, _, _ in CHANNELS}
    write_table(
        folder / "scene.json",
        (row_of({"token": scenes[name], "name": name, "description": "a, [b], {c}"}) for name in names),
    )
    write_table(
        folder / "sensor.json",
        (row_of({"token": sensors[name], "channel": name, "modality": "x"}) for name in sensors),
    )
    calibrated = {(name, channel): token() for name in names for channel in sensors}
    write_table(folder / "calibrated_sensor.json", (calibration(key, calibrated, sensors) for key in calibrated))
    samples = [(names[number * len(names) // KEYFRAMES], number, token()) for number in range(KEYFRAMES)]
    write_table(
        folder / "sample.json",
        (
            row_of({"token": mine, "timestamp": 1533 * 10**12 + 500_000 * number, "scene_token": scenes[name]})
            for name, number, mine in samples
        ),
    )
    with (folder / "sample_data.json").open("w") as data, (folder / "ego_pose.json").open("w") as poses:
        separator = "[\n"
        for name, number, mine in samples:
            for channel, suffix, count in CHANNELS:
                for part in range(count):
                    key, stamp = token(), 1533 * 10**12 + 500_000 * number + 500_000 * part // count
                    data.write(
                        separator + sample_data(key, mine, calibrated[name, channel], channel, suffix, stamp, part)
                    )
                    poses.write(separator + ego_pose(key, stamp))
                    separator = ",\n"
        data.write("\n]")
        poses.write("\n]")


def calibration(key: tuple[str, str], calibrated: dict[tuple[str, str], str], sensors: dict[str, str]) -> str:
    intrinsics = [[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]] if key[1].startswith("CAM") else []
    return row_of(
        {
            "token": calibrated[key],
            "sensor_token": sensors[key[1]],
            "translation": [DRAW.random(), DRAW.random(), DRAW.random()],
            "rotation": [1.0, 0.0, 0.0, 0.0],
            "camera_intrinsic": intrinsics,
        }
    )


def sample_data(key: str, sample: str, sensor: str, channel: str, suffix: str, stamp: int, part: int) -> str:
    folder = "sweeps" if part else "samples"
    return (
        f'{{\n"token": "{key}",\n"sample_token": "{sample}",\n"ego_pose_token": "{key}",\n'
        f'"calibrated_sensor_token": "{sensor}",\n"timestamp": {stamp},\n"fileformat": "{suffix[:3]}",\n'
        f'"is_key_frame": {"false" if part else "true"},\n"height": 900,\n"width": 1600,\n"filename": '
        f'"{folder}/{channel}/n015-2018-07-24-11-22-45+0800__{channel}__{stamp}.{suffix}",\n"prev": "{key}",\n'
        f'"next": "{sample}"\n}}'
    )


def ego_pose(key: str, stamp: int) -> str:
    a, b = DRAW.random(), DRAW.random()
    return (
        f'{{\n"token": "{key}",\n"timestamp": {stamp},\n"rotation": [\n{a},\n{-a / 991},\n{b / 79},\n{-b}\n],\n'
        f'"translation": [\n{1000 * a},\n{2000 * b},\n0.0\n]\n}}'
    )


def open_pointlift(root: Path, sweeps: int) -> int:
    from pointlift.datasets.nuscenes.dataset import NuScenes

    return len(NuScenes(root=root, split="train", sweeps=sweeps))


def open_json(root: Path) -> int:
    tables = {name: json.loads((root / "v1.0-trainval" / f"{name}.json").read_text()) for name in TABLES}
    return len(tables["sample"])


def read_once(path: Path) -> None:
    """In pieces: Linux counts the memory of the process that starts another into the other's peak."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def measure(way: str, root: Path) -> dict[str, float]:
    """Time and peak memory of one way to open the tables, in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(root), "--way", way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_way(way: str, root: Path) -> None:
    ways = {"pointlift": lambda: open_pointlift(root, 1), "sweeps": lambda: open_pointlift(root, 10)}
    ways |= {"json": lambda: open_json(root), "import": lambda: int(bool(__import__(MODULE)))}
    if way in ("pointlift", "sweeps"):
        __import__(MODULE)  # its time is printed beside, as "import"
    start, processor = time.perf_counter(), time.process_time()
    keyframes = ways[way]()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"seconds": seconds, "processor": processor, "gigabytes": peak / 1e9, "keyframes": keyframes}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the tables are, or are written; a temporary folder")
    parser.add_argument("--keep", action="store_true", help="leave the tables there")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        run_way(arguments.way, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.folder if arguments.folder and arguments.keep else Path(temporary) / "nuscenes"
        if not (root / "v1.0-trainval").is_dir():
            write_root(root)
        for name in TABLES:
            path = root / "v1.0-trainval" / f"{name}.json"
            read_once(path)
            print(f"{path.name:<24}{path.stat().st_size / 1e6:10,.0f} MB")
        names = {
            "import": "importing pointlift.data",
            "pointlift": "pointlift, split train",
            "sweeps": "pointlift, split train, 10 sweeps",
            "json": "json.load of the same tables",
        }
        results = {way: measure(way, root) for way in names}
        for way, title in names.items():
            result = results[way]
            times = f"{result['seconds']:7.1f} s elapsed {result['processor']:7.1f} s of processor"
            print(f"{title:<36}{times} {result['gigabytes']:7.2f} GB at peak")
        ratios = [results["pointlift"][key] / results["json"][key] for key in ("processor", "gigabytes")]
        print(f"pointlift / json: {ratios[0]:.2f} of the processor time, {ratios[1]:.3f} of the memory")


if __name__ == "__main__":
    main()
