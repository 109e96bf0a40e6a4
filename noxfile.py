"""Every check of the project, each in an environment of its own: ``nox`` runs lint, tests and docs.

``nox -s oldest newest`` runs the tests at both ends of what ``pyproject.toml`` supports, ``nox -s wheel`` tries what
users install. What stands after ``--`` goes to pytest: ``nox -s tests -- tests/images -x``.
"""

import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests", "docs"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
PYTHONS = ["3.11", "3.12", "3.13"]

#: What lints, which no test needs: its floor is no promise to users.
LINTERS = ("mypy", "ruff")
#: Bytes; it holds one small network (1 MB).
LARGEST_WHEEL = 3_000_000


def oldest_versions() -> list[str]:
    """Return the lower bound of every dependency of the package and of its tests, as requirements."""
    requirements = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    return [requirement.replace(">=", "==") for requirement in requirements if not requirement.startswith(LINTERS)]


def run_tests(session: nox.Session, *options: str) -> None:
    """Run pytest with the arguments of the command line, or in two processes."""
    session.run("python", "-m", "pytest", *options, *(session.posargs or ["-n", "2"]))


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style, format and types."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=PYTHONS[0])
def tests(session: nox.Session) -> None:
    """Run the tests with the oldest Python and what pip installs today."""
    session.install("-e", ".[test]")
    run_tests(session)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest version of everything that ``pyproject.toml`` allows."""
    session.install("-e", ".", *oldest_versions())
    # Old packages use what newer ones that they depend on have deprecated since: that is no fault of skcnn.
    run_tests(session, "-W", "default::DeprecationWarning", "-W", "default::FutureWarning")


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Run the tests with the newest Python and the newest version of everything."""
    session.install("--upgrade", "-e", ".[test]")
    run_tests(session)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the pages; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("python", "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "docs/_build")


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it without its source in sight, and run ``skcnn demo`` in an empty home."""
    session.install("build")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--outdir", folder)
        (built,) = Path(folder).glob("*.whl")
        if (size := built.stat().st_size) > LARGEST_WHEEL:
            session.error(f"{built.name} has {size} bytes; expected at most {LARGEST_WHEEL}")
        session.log(f"{built.name}: {size} bytes")
        session.install(str(built))
        home = Path(folder, "home")
        home.mkdir()
        with session.chdir(home):
            session.run("skcnn", "demo", env={"HOME": str(home), "PYTHONPATH": ""})
