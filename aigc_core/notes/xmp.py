"""XMP packets that say that a file was made by AI.

``Iptc4xmpExt:DigitalSourceType`` is IPTC's term for it
(https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia); ``TC260:AIGC`` is where
TC260-PG-20259A puts the field ``AIGC`` of GB 45438-2025.
"""

from __future__ import annotations

import html
import re

from aigc_core.interfaces.note import Note

_TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_LABEL = re.compile(rb"<TC260:AIGC>([^<]{0,65536})</TC260:AIGC>")


def packet(note: Note) -> bytes:
    """Return the XMP packet of a note, in UTF-8."""
    label = f"<TC260:AIGC>{html.escape(note.label)}</TC260:AIGC>" if note.label else ""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/">'
        f"<Iptc4xmpExt:DigitalSourceType>{_TRAINED}</Iptc4xmpExt:DigitalSourceType>"
        f"{label}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="r"?>'
    ).encode()


def label_in(data: bytes) -> str | None:
    """Return the label in an XMP packet, or None."""
    found = _LABEL.search(data)
    return html.unescape(found[1].decode("utf-8", "replace")) if found else None
