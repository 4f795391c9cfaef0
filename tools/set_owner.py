"""Put the owner that ``pyproject.toml`` names into every address of the course."""

import re
import subprocess
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Of the repository on the code host, on Colab and on Binder; of the site.
ADDRESS = re.compile(
    r"(?P<before>github(?:\.com)?/|/gh/|https://)(?P<owner>[\w-]+)"
    r"(?P<after>(?:\.github\.io)?/deep-autoencoder-course\b)"
)


def owner() -> str:
    """Return the account of the repository's address in ``pyproject.toml``."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return ADDRESS.search(project["urls"]["Repository"])["owner"]


def owned_by(name: str, text: str) -> str:
    """Put a name into the addresses of a text.

    Examples
    --------
    >>> owned_by("ada", "https://someone.github.io/deep-autoencoder-course/")
    'https://ada.github.io/deep-autoencoder-course/'
    """
    return ADDRESS.sub(rf"\g<before>{name}\g<after>", text)


def course_files() -> list[Path]:
    """Return the files of the course that are text, but for this one and its example."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True)
    paths = {REPOSITORY / name for name in listed.stdout.decode().split("\0") if name}
    paths = sorted(path for path in paths - {Path(__file__).resolve()} if path.is_file())
    return [path for path in paths if b"\0" not in path.read_bytes()]


def main() -> None:
    """Change the files, and say which."""
    for path in course_files():
        text = path.read_text()
        new = owned_by(owner(), text)
        if new != text:
            path.write_text(new)
            print(path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
