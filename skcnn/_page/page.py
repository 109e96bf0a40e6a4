"""HTML pages: one file that loads nothing, and runs nothing but the one script whose hash its policy names."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._files import replacing
from skcnn._text import (
    count_text,
    counted,
    error_text,
    file_name,
    file_text,
    label_text,
    metric_text,
    printable_text,
    signed_text,
)

if TYPE_CHECKING:
    from markupsafe import Markup

_FILTER_FROM = 8
"""From so many classes on, the page has a field to filter them."""
_FILE_NAME_WIDTH = 36
"""Letters of the name of a file that are shown below its image, in two lines."""


def render(package: str, template: str, *, script: str | None = None, classes: Any = (), **content: Any) -> str:
    """Return a page: a template filled with content, everything escaped that is not markup.

    Parameters
    ----------
    package : str
        Where the template is: the package whose folder ``templates`` has it, such as "skcnn.report".
    template : str
        Name of a file of that folder. It extends ``base.html``, the frame of every page.
    script : str or None, default=None
        Name of a file of that folder, the only script that the page may run. None: it runs none.
    classes : sequence, default=()
        Labels of the classes that the page can be filtered by.
    **content
        What the template names.
    """
    from markupsafe import Markup

    # Ours, and without a word from the data: a page may run this script because of its hash, and no other.
    code = files(package).joinpath("templates", script).read_text("utf-8") if script else ""
    digest = b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return render_part(
        package,
        template,
        script=Markup(code),
        script_source=f"'sha256-{digest}'" if script else "'none'",
        has_filter=len(classes) >= _FILTER_FROM,
        **content,
    )


def render_part(package: str, template: str, **content: Any) -> str:
    """Return a part of a page: a template filled with content, everything escaped that is not markup."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates"), PackageLoader("skcnn._page", "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(
        metric=metric_text,
        signed=signed_text,
        count=count_text,
        error=error_text,
        label=label_text,
        name=_breakable,
        file=file_text,
        file_name=lambda path: label_text(file_name(path), _FILE_NAME_WIDTH),
        counted=counted,
    )
    return environment.get_template(template).render(**content)


def _shown(value: Any) -> Any:
    """Return text as :func:`printable_text` does, but with its line breaks; markup as it is."""
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(printable_text, value.split("\n")))


def _breakable(label: Any) -> Markup:
    """Return a label in which a line may break after an underscore, as it may after a hyphen."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in label_text(label).split("_"))


def write_page(path: str | os.PathLike[str], page: str) -> Path:
    """Write a page so that the file is, at any moment, the old one or the whole new one."""
    target = Path(os.path.realpath(path))  # A link is written through, not replaced.
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a folder; give the path of a file, such as 'report.html'.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(target.parent)!r} for {target.name!r}; make it first.")
    with replacing(target) as unfinished:
        unfinished.write_text(page, encoding="utf-8", newline="\n")
    return Path(path)
