"""Where a service keeps keys, journal and shared photos: its catalogue's folder, or a database."""

from __future__ import annotations

from hemline.service.database.journal import DatabaseJournal
from hemline.service.database.keys import DatabaseKeys
from hemline.service.database.photos import DatabasePhotoLinks
from hemline.service.database.tables import database
from hemline.service.journal import Journal
from hemline.service.keys import KeyRing
from hemline.service.photo_links import PhotoLinks
from hemline.service.settings import Settings, name_of


def open_keys(settings: Settings) -> KeyRing | DatabaseKeys:
    """The keys of a catalogue.

    Raises:
        UsageError, DatabaseError: as `database`.
    """
    if settings.database:
        return DatabaseKeys(database(settings.database), name_of(settings.catalog))
    return KeyRing(settings.state)


def open_journal(settings: Settings) -> Journal:
    """The journal of a catalogue; raises as `open_keys`."""
    if settings.database:
        name = name_of(settings.catalog)
        return DatabaseJournal(database(settings.database), name, days=settings.keep_photos)
    return Journal(settings.state, days=settings.keep_photos)


def open_photos(settings: Settings) -> PhotoLinks:
    """The shared photos of a catalogue; raises as `open_keys`."""
    allowed = bool(settings.photo_links)
    if settings.database:
        name = name_of(settings.catalog)
        return DatabasePhotoLinks(database(settings.database), name, allowed)
    return PhotoLinks(settings.state / "photos", allowed)
