"""A page taken apart: what a browser would be asked to load, and the text of each section."""

from __future__ import annotations

from html.parser import HTMLParser

_LOADING = ("src", "srcset", "href", "action", "data", "poster", "background")
_SILENT = ("script", "style")


class Page(HTMLParser):
    """`tags`, `loaded` (tag, attribute, value), `scripts`, `styles`, `texts` by section id, `absent` by section id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.loaded: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.texts: dict[str, str] = {"": ""}
        self.absent: dict[str, list[str]] = {}
        self._section, self._inside, self._in_absent = "", "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.loaded += [(tag, name, value or "") for name, value in attrs if name in _LOADING]
        values = dict(attrs)
        if tag == "section":
            self._section = values["id"] or ""
            self.texts[self._section], self.absent[self._section] = "", []
        if tag in _SILENT:
            self._inside = tag
            (self.scripts if tag == "script" else self.styles).append("")
        if tag == "p" and values.get("class") == "absent" and self._section:
            self._in_absent = True
            self.absent[self._section].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        if tag == "section":
            self._section = ""
        if tag == "p":
            self._in_absent = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            (self.scripts if self._inside == "script" else self.styles)[-1] += data
            return
        self.texts[self._section] += data
        if self._in_absent:
            self.absent[self._section][-1] += data
