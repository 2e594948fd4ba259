"""What sets the kinds of town apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Ranges and odds of one kind of town; a text lists options, the more frequent more than once.

    Widths, lengths and heights are in metres; densities are numbers in 100 m of street and side.
    """

    lanes: str
    lane_width: tuple[float, float]
    parking: float
    has_pavement: float
    pavement: tuple[float, float]
    verge: float
    kerbs: str
    bend: float  # largest curvature, 1/m
    slope: float  # steepest, metres per metre
    bank: tuple[float, float]  # height of the embankments
    roads: str
    road_colors: str
    paves: str
    pave_colors: str
    verges: str
    grounds: str
    forecourt: float  # odds that lots may be paved like the pavement
    buildings: str
    setback: tuple[float, float]
    lot: tuple[float, float]
    fill: float  # odds that a building spans its lot
    empty: float  # share of lots without a building
    boundaries: str
    trees: str
    garden: float  # plants in 100 m2 of a lot's front
    street_trees: float
    poles: float
    parked: float  # share of parking places that are taken
    yard: float  # odds of vehicles on a lot
    walkers: float
    cycles: float
    traffic: tuple[float, float]  # gap between moving vehicles
    rail: float  # odds of a guard rail where there is no pavement
    crossing: float
    season: tuple[float, float]
    sun: tuple[float, float]  # elevation, degrees
    overcast: float


STYLES_BY_NAME = {
    "suburb": Style(
        lanes="2 2 2 3", lane_width=(3.1, 3.6), parking=0.45, has_pavement=0.75, pavement=(1.4, 2.6), verge=0.5,
        kerbs="0.12 0.08 0.05 0.0", bend=1 / 200, slope=0.035, bank=(-0.8, 1.4),
        roads="asphalt asphalt asphalt concrete",
        road_colors="grey", paves="paved concrete asphalt", pave_colors="grey grey grey grey beige red",
        verges="grass grass gravel dirt", grounds="grass grass grass grass gravel dirt", forecourt=0.15,
        buildings="house house house house shed apartment", setback=(3.0, 9.0), lot=(15, 26), fill=0.1, empty=0.1,
        boundaries="wall fence fence hedge hedge none", trees="tree tree tree pine poplar",
        garden=2.6, street_trees=6.0,
        poles=4.5, parked=0.5, yard=0.6, walkers=4.0, cycles=2.5, traffic=(22, 70), rail=0.15, crossing=0.6,
        season=(0, 1), sun=(15, 60), overcast=0.4,
    ),
    "centre": Style(
        lanes="2 2 3 4", lane_width=(3.0, 3.5), parking=0.7, has_pavement=1.0, pavement=(2.2, 4.5), verge=0.12,
        kerbs="0.15 0.12 0.1 0.03 0.0", bend=1 / 350, slope=0.02, bank=(-0.2, 0.3), roads="asphalt asphalt paved",
        road_colors="grey", paves="paved paved stone concrete asphalt", pave_colors="grey grey grey grey beige red",
        verges="grass gravel", grounds="gravel grass dirt", forecourt=0.8,
        buildings="apartment apartment shop shop shop house", setback=(0.0, 1.0), lot=(10, 24), fill=0.8, empty=0.07,
        boundaries="wall fence none none hedge", trees="tree tree poplar", garden=0.8, street_trees=5.5,
        poles=7.0, parked=0.65, yard=0.25, walkers=8.0, cycles=4.0, traffic=(14, 45), rail=0.1, crossing=0.8,
        season=(0, 1), sun=(15, 60), overcast=0.4,
    ),
    "industrial": Style(
        lanes="2 2 3 4", lane_width=(3.3, 3.7), parking=0.35, has_pavement=0.5, pavement=(1.4, 2.5), verge=0.5,
        kerbs="0.12 0.05 0.0 0.0", bend=1 / 280, slope=0.02, bank=(-1.2, 1.2), roads="asphalt concrete concrete",
        road_colors="grey grey grey beige", paves="concrete asphalt paved gravel", pave_colors="grey grey beige",
        verges="gravel dirt grass", grounds="gravel gravel dirt grass", forecourt=0.3,
        buildings="warehouse warehouse shed container container apartment", setback=(4.0, 12.0),
        lot=(20, 44), fill=0.1, empty=0.15,
        boundaries="fence fence fence wall hedge none", trees="tree poplar pine", garden=1.1, street_trees=4.0,
        poles=4.0, parked=0.45, yard=0.9, walkers=3.0, cycles=1.5, traffic=(20, 60), rail=0.5, crossing=0.6,
        season=(0, 1), sun=(12, 55), overcast=0.5,
    ),
    "coast": Style(
        lanes="2 2 4", lane_width=(3.5, 4.1), parking=0.5, has_pavement=0.85, pavement=(2.5, 6.0), verge=0.6,
        kerbs="0.15 0.1 0.0", bend=1 / 190, slope=0.075, bank=(-4.0, 4.5), roads="asphalt concrete concrete",
        road_colors="grey beige beige", paves="tiled stone paved", pave_colors="beige beige orange white grey red",
        verges="sand sand gravel", grounds="sand sand dirt gravel", forecourt=0.2,
        buildings="villa villa villa villa tower shed", setback=(4.0, 14.0), lot=(16, 30), fill=0.1, empty=0.2,
        boundaries="wall wall wall hedge none none", trees="palm palm palm flat flat", garden=1.8, street_trees=5.5,
        poles=4.5, parked=0.5, yard=0.4, walkers=5.0, cycles=3.5, traffic=(20, 70), rail=0.7, crossing=0.4,
        season=(0, 0.2), sun=(35, 75), overcast=0.08,
    ),
}  # fmt: skip
"""Suburb, centre and industrial are near of kin; coast is made to differ in most things."""
