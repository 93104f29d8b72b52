"""Notes in files of formats that plugins of several kinds write: for ``Modality.notes``."""

from aigc_core.interfaces.note import Note, NoteFormat
from aigc_core.notes.gif import GIF
from aigc_core.notes.png import PNG

__all__ = ["GIF", "PNG", "Note", "NoteFormat"]
