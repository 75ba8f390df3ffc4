"""Requests that clients of other makes send to a simulated venue and ours never does, free of any dialect."""

from __future__ import annotations

from actors.vocab.venue_io import VenueReplace


class CancelReplace(VenueReplace, frozen=True):
    """End one order and place another of any terms; `lots` is the new order's whole size.

    Our own `VenueReplace` keeps side and post-only of the order that it replaces, a client's request need not.
    """

    post_only: bool = True
    market: bool = False
    allow_failure: bool = False  # place the new order although the old one could not be cancelled
