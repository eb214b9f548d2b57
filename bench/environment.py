"""Python environments of the scripts beside this file: each makes its own below target/ when it is first called."""
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent


def enter(name, *packages):
    """Goes on in the environment target/NAME, made with these packages if it is not there."""
    home = ROOT / "target" / name
    python = home / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == home.resolve():
        return
    if not (home / "complete").exists():
        print(f"making a Python environment in target/{name}", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run(pip + list(packages), check=True)
        (home / "complete").write_text("yes\n")
    os.execv(python, [str(python), *sys.argv])
