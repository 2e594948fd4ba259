"""Fills a site with everything, in the order in which it claims its place."""

from __future__ import annotations

from pointlift.worlds.engine.solids import Body
from pointlift.worlds.street import lots, roadside, traffic, vehicles
from pointlift.worlds.street.classes import EGO
from pointlift.worlds.street.site import Site

EGO_LENGTH = (-2.6, 1.6)
"""Range of x that the ego vehicle's own body covers, metres."""


def furnish(site: Site) -> None:
    """Everything, in the order in which it claims its place."""
    roadside.markings(site, site.random("markings"))
    _ego(site)
    roadside.works(site, site.random("works"))
    traffic.rare(site, site.random("rare"))
    for lot in site.lots:
        lots.furnish_lot(site, site.random(f"lot {lot.side} {lot.start:.1f}"), lot)
    roadside.rails(site, site.random("rails"))
    roadside.kerb(site, site.random("kerb"))
    traffic.parked(site, site.random("parked"))
    traffic.walkers(site, site.random("walkers"))
    traffic.moving(site, site.random("traffic"))
    lots.backdrop(site, site.random("backdrop"))


def _ego(site: Site) -> None:
    body = vehicles.car(site.random("ego body"), site.palette, "estate")
    x = body.vertices[:, 0]
    scale = (EGO_LENGTH[1] - EGO_LENGTH[0]) / float(x.max() - x.min())
    vertices = body.vertices * (scale, 1, min(1.0, 1.5 / float(body.vertices[:, 2].max())))
    vertices[:, 0] += sum(EGO_LENGTH) / 2
    site.move([Body(vertices, body.faces, body.material_of)], EGO, site.ego, site.cut.ego, yaw=0.0)
