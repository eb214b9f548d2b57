#!/usr/bin/env python3
"""Fetches the documents of configs/corpus/recipe.toml from package registries: about 1 GB of text and code.

    python3 configs/corpus/fetch.py FOLDER [rust] [python] [debian]

Rust crates with everything they depend on, Python wheels, and Debian's packages of documentation. Each document keeps
the licence that its package states. Needs cargo, pip, and for the last part apt-get and dpkg-deb; a part whose program
is missing is left out, loudly. What is there already is not fetched again.
"""
import email
import gzip
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

CRATES = """bevy polars datafusion candle-transformers wasmtime axum reqwest tantivy nalgebra gix sqlx rustls image syn
clap""".split()
WHEELS = """sympy django scipy pandas scikit-learn transformers networkx sqlalchemy matplotlib twisted jax sphinx nltk
astropy statsmodels homeassistant apache-airflow-core sentry-sdk numpy""".split()
DEBIAN = """linux-doc-6.1 rust-doc python3.11-doc perl-doc qtbase5-doc-html llvm-14-doc gnome-user-docs racket-doc
erlang-doc python-astropy-doc python-statsmodels-doc python-sklearn-doc python-pandas-doc libboost1.81-doc
postgresql-doc-15 python-django-doc dict-foldoc sqlite3-doc git-doc python-scipy-doc nodejs-doc
libreoffice-help-en-us freebsd-manpages manpages-dev debian-handbook dict-gcide golang-1.19-src rust-src""".split()
CODE = {".py": "Python", ".pyi": "Python", ".go": "Go", ".rs": "Rust", ".c": "C", ".h": "C", ".md": "Markdown",
        ".rst": "reStructuredText"}
SMALLEST, LARGEST = 200, 1 << 20  # bytes of a document


def run(*command, **options):
    print("+", " ".join(map(str, command))[:160], file=sys.stderr)
    return subprocess.run(command, check=True, **options)


def missing(part, *programs):
    absent = [program for program in programs if not shutil.which(program)]
    if absent:
        print(f"LEFT OUT: {part}, because {', '.join(absent)} cannot be found", file=sys.stderr)
    return absent


class Rows:
    """A file of JSON lines that appears when it is whole."""

    def __init__(self, path):
        self.path, self.partial = path, path.with_suffix(".partial")
        self.raw = open(self.partial, "wb")
        self.file = gzip.GzipFile(filename="", fileobj=self.raw, compresslevel=3, mtime=0, mode="wb")
        self.documents = self.bytes = 0

    def add(self, text, path, licence, language=None):
        size = len(text.encode("utf-8", "replace"))
        if not SMALLEST <= size <= LARGEST:
            return
        row = {"text": text, "path": path, "license": licence}
        if language:
            row["language"] = language
        self.file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self.documents += 1
        self.bytes += size

    def close(self):
        self.file.close()  # leaves the file below it open
        self.raw.close()
        self.partial.replace(self.path)
        print(f"{self.path}: {self.documents} documents, {self.bytes / 1e6:.1f} MB", file=sys.stderr)


def rust(folder):
    """Sources of crates, laid out as cargo unpacks them."""
    vendored = folder / "cargo" / "registry" / "src" / "vendored"
    if vendored.exists() or missing("rust", "cargo"):
        return
    project = folder / "cargo" / "project"
    (project / "src").mkdir(parents=True, exist_ok=True)
    (project / "src" / "lib.rs").write_text("")
    dependencies = "".join(f'{name} = "*"\n' for name in CRATES)
    manifest = f'[package]\nname = "corpus"\nversion = "0.0.0"\nedition = "2021"\n\n[dependencies]\n{dependencies}'
    (project / "Cargo.toml").write_text(manifest + "\n[workspace]\n")
    partial = vendored.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    run("cargo", "vendor", "--quiet", "--versioned-dirs", partial.resolve(), cwd=project, stdout=subprocess.DEVNULL)
    partial.rename(vendored)


def wheel_licence(metadata):
    """As the wheel states it: SPDX expression, short licence field, or classifier."""
    stated = str(metadata.get("License-Expression") or metadata.get("License") or "")
    if stated and len(stated) < 60 and "\n" not in stated:
        return stated
    classifiers = [str(c).split("::")[-1].strip() for c in metadata.get_all("Classifier", []) if str(c).startswith("License")]
    return " OR ".join(classifiers) or None


def python(folder):
    """Python files of wheels, with the licence of the wheel."""
    if (folder / "python.jsonl.gz").exists():
        return
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    have = {path.name.split("-")[0].lower().replace("_", "-") for path in wheels.glob("*.whl")}
    wanted = [name for name in WHEELS if name not in have]
    if wanted:
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", wheels, *wanted)
    rows = Rows(folder / "python.jsonl.gz")
    for path in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(path) as wheel:
            names = sorted(wheel.namelist())
            about = next(name for name in names if name.endswith(".dist-info/METADATA"))
            licence = wheel_licence(email.message_from_bytes(wheel.read(about)))
            package = path.name.split("-")[0]
            for name in names:
                suffix = pathlib.PurePosixPath(name).suffix
                if suffix in (".py", ".pyi", ".rst", ".md"):
                    text = wheel.read(name).decode("utf-8", "replace")
                    rows.add(text, f"{package}/{name}", licence, CODE.get(suffix))
    rows.close()


class Text(html.parser.HTMLParser):
    """Text of a page: block elements become lines, preformatted text stays, navigation and scripts go."""

    SKIP = {"script", "style", "nav", "header", "footer", "head", "form", "button", "svg"}
    BLOCK = {"p", "div", "br", "li", "tr", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "table", "section", "pre"}

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.skipped, self.pre = [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.skipped += tag in self.SKIP
        self.pre += tag == "pre"
        if tag in self.BLOCK:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        self.skipped = max(0, self.skipped - (tag in self.SKIP))
        self.pre = max(0, self.pre - (tag == "pre"))
        if tag in self.BLOCK:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.skipped:
            self.parts.append(data if self.pre else re.sub(r"\s+", " ", data))


def page_text(page):
    parser = Text()
    parser.feed(page)
    lines = (line.rstrip() for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def man_text(page):
    """A manual page without its formatting requests."""
    page = re.sub(r"\\f[A-Z]|\\f\(..|\\&|\\,|\\/", "", page).replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
    lines = []
    for line in page.split("\n"):
        if line.startswith((".\\\"", "'\\\"")):
            continue
        request = re.match(r"[.'](\w+)\s*(.*)", line)
        if not request:
            lines.append(line)
        elif request[1] in ("SH", "SS", "Sh", "Ss"):
            lines += ["", request[2].strip('"'), ""]
        elif request[1] in ("PP", "P", "LP", "TP", "IP", "Pp", "br", "sp"):
            lines += ["", request[2].strip('"')] if request[2] else [""]
        elif request[1][0] in "BIRFXN":
            lines.append(request[2].replace('"', ""))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


# What the copyright files of these packages say in prose.
LICENCES = {"rust-src": "MIT OR Apache-2.0", "rust-doc": "MIT OR Apache-2.0", "python3.11-doc": "PSF-2.0",
            "dict-gcide": "GPL-2.0-or-later", "dict-foldoc": "GFDL-1.1-or-later"}


def debian_licence(root, package):
    """Licence of `Files: *` where the copyright file is machine-readable, else a pointer to it."""
    if package in LICENCES:
        return LICENCES[package]
    path = root / "usr" / "share" / "doc" / package / "copyright"
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    match = re.search(r"^Files:\s*\*.*?^License:\s*(\S[^\n]*)", text, re.S | re.M)
    return match[1].strip() if match else f"see the copyright file of Debian's {package}"


def debian_document(path):
    """Text and language of a file, or nothing."""
    name = path.name[:-3] if path.suffix in (".gz", ".dz") else path.name
    suffix = pathlib.PurePosixPath(name).suffix
    if path.stat().st_size > 32 << 20:
        return
    raw = path.read_bytes()
    if path.suffix in (".gz", ".dz"):
        raw = gzip.decompress(raw)
    text = raw.decode("utf-8", "replace")
    if suffix in (".html", ".htm", ".xhtml"):
        yield page_text(text), None
    elif re.fullmatch(r"\.[1-9]\w*", suffix) and "man" in path.parts[-2]:
        yield man_text(text), None
    elif suffix in CODE:
        yield text, CODE[suffix]
    elif suffix in (".txt", ".page", ".xml"):
        yield (page_text(text) if suffix != ".txt" else text), None
    elif suffix == ".dict":
        # Entries of a dictionary, some thousand bytes at a time.
        for at in range(0, len(text), 8192):
            yield text[at:at + 8192], "en"


def debian(folder):
    """Documentation and standard libraries that Debian packages."""
    if (folder / "debian.jsonl.gz").exists() or missing("debian", "apt-get", "dpkg-deb"):
        return
    debs, trees = folder / "debs", folder / "trees"
    debs.mkdir(exist_ok=True)
    rows = Rows(folder / "debian.jsonl.gz")
    for package in DEBIAN:
        if not list(debs.glob(f"{package}_*.deb")):
            try:
                run("apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", package, cwd=debs)
            except subprocess.CalledProcessError:
                print(f"LEFT OUT: {package}, which this release does not have", file=sys.stderr)
                continue
        tree = trees / package
        if not tree.exists():
            tree.mkdir(parents=True)
            run("dpkg-deb", "-x", next(debs.glob(f"{package}_*.deb")), tree)
        licence = debian_licence(tree, package)
        for path in sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()):
            try:
                for number, (text, language) in enumerate(debian_document(path)):
                    place = path.relative_to(tree).as_posix()
                    rows.add(text, f"{package}/{place}" + (f"#{number}" if number else ""), licence, language)
            except (OSError, EOFError, gzip.BadGzipFile) as error:
                print(f"{path}: {error}", file=sys.stderr)
        shutil.rmtree(tree)
    rows.close()


def main():
    parts = {"rust": rust, "python": python, "debian": debian}
    if len(sys.argv) < 2 or any(name not in parts for name in sys.argv[2:]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or parts:
        parts[name](folder)


if __name__ == "__main__":
    main()
