"""Download a file over HTTP: bounded in size, impatient with servers that do not answer."""

from __future__ import annotations

import io
import sys
import textwrap

from tinygrad_cnn.data.idx import LIMIT

_TIMEOUT = (3.05, 10)  # seconds to connect, seconds between two packets: a blocked network must fail soon
_CHUNK = 64 * 1024  # bytes


class _Bounded(io.BytesIO):
    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(chunk) > LIMIT:
            raise ValueError(f"expected at most {LIMIT:,} bytes, the server sent more")
        return super().write(chunk)


def download(url: str) -> bytes:
    """Return the bytes behind ``url``, showing a progress bar where standard error is a terminal.

    Raises:
        OSError: No answer within seconds, or an answer other than success.
        ValueError: The answer is longer than `LIMIT`.
    """
    import pooch

    content = _Bounded()
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=_CHUNK, timeout=_TIMEOUT)
    try:
        fetch(url, content, None)
    except OSError as error:
        response = getattr(error, "response", None)
        if response is not None:  # the server refused, and pooch left the connection open
            response.close()
        # requests wraps the reason in layers, and repeats the address in each
        reason = getattr(error.args[0], "reason", None) if error.args else None
        raise OSError(textwrap.shorten(str(reason or error), 200)) from error
    return content.getvalue()
