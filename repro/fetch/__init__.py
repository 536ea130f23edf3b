"""Original files from where their authors put them: downloads that resume and are checked, archives unpacked safely."""

from repro.fetch.archive import Unpacked, unpack
from repro.fetch.download import Downloaded, Expected, download
from repro.fetch.member import take_member

__all__ = ["Downloaded", "Expected", "Unpacked", "download", "take_member", "unpack"]
