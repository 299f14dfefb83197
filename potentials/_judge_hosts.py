"""Which services a program may ask, and which key each of them gets: the user's word, from the environment.

`SMCDSL_HTTP_HOSTS` lists the services, separated by commas: `HOST`, `HOST:PORT`, and `=VARIABLE` after either
where a key must be sent, as `Authorization: Bearer`, which the environment variable VARIABLE holds. A program
names an address only; it may have come from anybody, and a file of settings beside it with it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from smcdsl.errors import Diagnostic, UsageError

HOSTS_VARIABLE = "SMCDSL_HTTP_HOSTS"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Service:
    """An address that the user has allowed, and the key that it gets."""

    scheme: str
    host: str
    port: int
    target: str
    key: str | None

    @property
    def shown(self) -> str:
        """For messages: what may stand after `?` is left out."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}:{self.port}{self.target.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"Service({self.shown})"


def allowed_service(url: str) -> Service:
    """The service at an address.

    Raises:
        UsageError: E0802, this is no address of a service, `SMCDSL_HTTP_HOSTS` does not list it or is not right, or
            its key is not there or would go over the network unencrypted.
    """
    parts, port = _parsed(url)
    host = str(parts.hostname)
    keys = allowed_hosts()
    if (host, port) not in keys:
        place = _place(host, port, parts.scheme)
        message = f"no connection to `{place}` is allowed: {HOSTS_VARIABLE} does not list it"
        fix = f"if you trust it, set {HOSTS_VARIABLE}={place} in the environment"
        raise UsageError(Diagnostic("E0802", message, help=fix))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    variable = keys[host, port]
    return Service(parts.scheme, host, port, target, None if variable is None else _key(variable, parts.scheme, host))


def _parsed(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    printable = re.fullmatch(r"[!-~]+", url) is not None
    known = parts.scheme in _PORTS and bool(parts.hostname)
    if not known or not printable or parts.username is not None or parts.fragment:
        fact = "an address is http:// or https://, a host, and a path, in ASCII, without a name or password"
        raise UsageError(Diagnostic("E0802", "this is not the address of a service", facts=(fact,)))
    return parts, _PORTS[parts.scheme] if port is None else port


def allowed_hosts() -> dict[tuple[str, int], str | None]:
    """(host, port) -> the environment variable with its key. A host without a port has both usual ones."""
    found: dict[tuple[str, int], str | None] = {}
    for entry in filter(None, map(str.strip, os.environ.get(HOSTS_VARIABLE, "").split(","))):
        place, marked, variable = entry.partition("=")
        try:
            parts = urlsplit(f"//{place}")
            port = parts.port
        except ValueError:
            parts = urlsplit("")
        is_host = (
            parts.netloc == place
            and parts.username is None
            and re.fullmatch(r"[\w.:-]+", parts.hostname or "") is not None
        )
        if not is_host or (marked and not re.fullmatch(r"[A-Za-z_]\w*", variable)):
            # Somebody may have put the key itself behind the sign: it is not shown.
            message = f"{HOSTS_VARIABLE} is not right at `{place}`"
            fix = "write a list of HOST, HOST:PORT, HOST=VARIABLE and HOST:PORT=VARIABLE, with commas between"
            raise UsageError(Diagnostic("E0802", message, help=fix))
        for each in _PORTS.values() if port is None else (port,):
            found[str(parts.hostname), each] = variable or None
    return found


def _key(variable: str, scheme: str, host: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not re.fullmatch(r"[!-~]+", key):
        wrong = "holds characters that a key cannot have" if key else "is not set"
        raise UsageError(Diagnostic("E0802", f"the environment variable {variable}, the key of `{host}`, {wrong}"))
    if scheme == "http" and not _is_loopback(host):
        fix = "write https://"
        raise UsageError(Diagnostic("E0802", f"the key of `{host}` would go there unencrypted", help=fix))
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _place(host: str, port: int, scheme: str) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS[scheme] else f"{name}:{port}"
