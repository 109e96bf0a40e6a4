"""Saved files, changed by somebody who knows how they are made: every digest fits."""

import hashlib
import io
import json
import zipfile


def write(path, members, **manifest):
    """Write a file whose digests fit its members."""
    base = {"format": 1, "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps({**base, **manifest}))
        for name, content in members.items():
            archive.writestr(name, content)


def members_of(path):
    """Return the members of a file but for its manifest."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def state_of(schema, files=()):
    """Return a state as skops has it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in dict(files).items():
            archive.writestr(name, content)
        archive.writestr("schema.json", schema if isinstance(schema, str) else json.dumps(schema))
    return buffer.getvalue()


def parts_of(state):
    """Return the schema and the files of a state."""
    with zipfile.ZipFile(io.BytesIO(state)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("schema.json")), files


def forge(path, change):
    """Change the schema of a file in place: ``change(schema, files)``."""
    members = members_of(path)
    schema, files = parts_of(members["estimator.skops"])
    change(schema, files)
    write(path, {**members, "estimator.skops": state_of(schema, files)})


def nodes_of(schema):
    """Yield the nodes of a schema."""
    if isinstance(schema, dict):
        if "__loader__" in schema:
            yield schema
        for part in schema.values():
            yield from nodes_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from nodes_of(part)


def change_config(archive, change):
    """Return a ``.keras`` archive with its configuration changed, as text."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as given, zipfile.ZipFile(buffer, "w") as changed:
        for name in given.namelist():
            content = given.read(name)
            changed.writestr(name, change(content.decode()) if name == "config.json" else content)
    return buffer.getvalue()
