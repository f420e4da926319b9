"""Installs what the suites need: Debian packages, Python environments, Node modules, Apache's jars.

Each function is idempotent and cheap when there is nothing to do. Everything that is not a Debian
package is kept in `cache()`, which may be deleted at any time.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# The version that Debian 12 packages, the usual one in the field.
APACHE_DEBIAN = "3.8.0"
# The newest version whose jars a package of another registry carries.
APACHE_NEWEST = "3.9.5"
APACHE_VERSIONS = (APACHE_DEBIAN, APACHE_NEWEST)

# The Python package that bundles the jars of `APACHE_NEWEST`.
JAR_BUNDLE = "pyspark==4.3.0"
# Of the jars in that bundle, those the server, its command line and its log readers load.
JARS_WANTED = re.compile(
    r"/jars/(zookeeper(-jute)?-3[.]|commons-(cli|io)-|jackson-(annotations|core|databind)-"
    r"|jline-2[.]|metrics-core-|slf4j-api-|log4j-(api|core|slf4j2-impl)-|snappy-java-"
    r"|netty-(buffer|codec(-base)?|common|handler|resolver|transport(-classes-epoll"
    r"|-native-unix-common)?)-4[.])"
)

# Interpreters older than 3.11.4 have no extraction filters; the archives are pinned and trusted.
EXTRACT = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def cache() -> Path:
    """Returns the directory that keeps downloads and build results between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base) / "reefkeeper-interop"
    path.mkdir(parents=True, exist_ok=True)
    return path


def debian(*names: str) -> None:
    """Installs the Debian packages among `names` that are missing."""
    missing = [name for name in names if not _debian_installed(name)]
    if not missing:
        return
    say(f"installing {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0"]
    subprocess.run(["apt-get", "-q", "update"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [*apt, "--no-install-recommends", "install", *missing],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )


def python_environment(name: str, *requirements: str) -> Path:
    """Returns the interpreter of a virtual environment that holds exactly these pinned packages."""
    tag = hashlib.sha256(repr((sys.version, requirements)).encode()).hexdigest()[:12]
    root = cache() / f"python-{name}-{tag}"
    if not (root / "complete").exists():
        say(f"building the Python environment {name}")
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        pip = [root / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *requirements], check=True)
        (root / "complete").touch()
    return root / "bin" / "python"


def python_source(requirement: str) -> Path:
    """Returns the unpacked source archive of a pinned Python package, such as `kazoo==2.11.0`."""
    root = cache() / f"source-{requirement.replace('==', '-')}"
    if not root.exists():
        say(f"fetching the source of {requirement}")
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            archive = _download_source(requirement, Path(scratch))
            with tarfile.open(archive) as tar:
                tar.extractall(Path(scratch) / "tree", **EXTRACT)
            (top,) = (Path(scratch) / "tree").iterdir()
            top.rename(root)
    return root


def node_modules(name: str, *pins: str) -> Path:
    """Returns a `node_modules` directory with the pinned npm packages, such as `left-pad@1.3.0`."""
    tag = hashlib.sha256(repr(pins).encode()).hexdigest()[:12]
    root = cache() / f"node-{name}-{tag}"
    if not (root / "complete").exists():
        say(f"installing {' '.join(pins)}")
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        (root / "package.json").write_text('{"private": true}\n')
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([*npm, *pins], cwd=root, check=True, stdout=subprocess.DEVNULL)
        (root / "complete").touch()
    return root / "node_modules"


def apache_class_path(version: str) -> str:
    """Returns the class path of an Apache ZooKeeper, installing it first when needed."""
    debian("openjdk-17-jdk-headless")
    if version == APACHE_DEBIAN:
        # The jar's manifest names its dependencies, but forgets two that the Netty listener loads.
        debian("libzookeeper-java", "libslf4j-java", "libnetty-java")
        names = ("zookeeper", "slf4j-simple", "netty-codec", "netty-resolver")
        return ":".join(f"/usr/share/java/{name}.jar" for name in names)
    if version == APACHE_NEWEST:
        return ":".join(str(jar) for jar in sorted(_newest_jars().glob("*.jar")))
    raise ValueError(f"no source for Apache ZooKeeper {version}; known: {APACHE_VERSIONS}")


def say(text: str) -> None:
    """Tells the person at the terminal what takes the time."""
    print(f"# {text}", file=sys.stderr, flush=True)


def _debian_installed(name: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", name]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return result.stdout == "installed"


def _download_source(requirement: str, into: Path) -> Path:
    name = requirement.split("==")[0]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    subprocess.run([*pip, "--no-deps", "--no-binary", name, "-d", into, requirement], check=True)
    (archive,) = into.glob(f"{name}-*.tar.gz")
    return archive


def _newest_jars() -> Path:
    root = cache() / f"apache-{APACHE_NEWEST}"
    if not root.exists():
        say(f"fetching Apache ZooKeeper {APACHE_NEWEST} (some 450 MB, once)")
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            jars = Path(scratch) / "jars"
            jars.mkdir()
            with tarfile.open(_download_source(JAR_BUNDLE, Path(scratch))) as tar:
                for member in tar:
                    if JARS_WANTED.search(member.name):
                        member.name = os.path.basename(member.name)
                        tar.extract(member, jars, **EXTRACT)
            jars.rename(root)
    return root
