"""The page around its content: complete in itself, and shut to what is not its own."""

from __future__ import annotations

import base64
import hashlib

from mlproject.webpage.style import BASE
from mlproject.webpage.text import safe


def document(
    title: str,
    body: str,
    style: str = "",
    script: str = "",
    body_class: str = "",
    pictures: bool = False,
) -> str:
    """An HTML page.

    Its policy lets the browser run the page's own script and nothing else, and load nothing from
    outside.

    Args:
        title: Of the page; any text.
        body: HTML of the content, in which every text of the data is escaped.
        style: What is added to the shared look.
        script: The page's script; empty for none.
        body_class: Class of the body.
        pictures: The content has pictures, as `data:` URIs.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"; script-src 'sha256-{digest}'" if script else ""
    images = " img-src data:;" if pictures else ""
    policy = f"default-src 'none';{images} style-src 'unsafe-inline'{allowed}"
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{safe(title)}</title><style>{BASE}{style}</style></head>"
        f'<body class="{safe(body_class)}"><main>{body}</main>'
        + (f"<script>{script}</script>" if script else "")
        + "</body></html>\n"
    )
