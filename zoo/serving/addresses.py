"""Which addresses a server may fetch films from.

A server that fetches what strangers name would fetch what only it can reach. So hosts have to be named beforehand,
their names may not lead to a private network, and who connects takes the very addresses that were checked: a name may
mean another one a moment later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from zoo.serving.refusal import Refusal
from zoo_registry.errors import ParameterError, Problem

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 2048
"""Characters of an address."""

_PORTS = {"http": 80, "https": 443}
_PATTERN = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<any>\*\.)?(?P<host>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?/?",
    re.IGNORECASE,
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as networks of IPv6 alone write them; RFC 6052, section 2.1."""


@dataclass(frozen=True)
class Target:
    """Where a film is fetched from.

    Attributes:
        scheme: `http` or `https`.
        host: its name in ASCII and lower case, or an IP address.
        port: of its server.
        path: with the query.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class _Rule:
    scheme: str | None
    host: str
    below: bool
    port: int | None

    def permits(self, target: Target) -> bool:
        named = target.host.endswith(f".{self.host}") if self.below else target.host == self.host
        ports = self.port or _PORTS[target.scheme]
        return named and self.scheme in (None, target.scheme) and target.port == ports


class AllowList:
    """Hosts that films may be fetched from.

    Args:
        patterns: `films.org`, `*.films.org` (all names below it, not itself), `https://films.org`, `films.org:8080`; a
            pattern without a port means the usual one.
        private: whether their names may lead to private, loopback and link-local addresses.

    Raises:
        ParameterError: every pattern that is none.

    Example:
        >>> allowed = AllowList(["*.films.org"])
        >>> allowed.target("https://a.films.org/b.mp4").host
        'a.films.org'
    """

    def __init__(self, patterns: Iterable[str] = (), *, private: bool = False) -> None:
        self.private = private
        self.rules: list[_Rule] = []
        problems = []
        for pattern in patterns:
            match = _PATTERN.fullmatch(pattern)
            if match is None or int(match["port"] or 1) not in range(1, 65536):
                problems.append(
                    Problem(f"{pattern!r} is no host", hint="films.org, *.films.org, https://films.org:8443")
                )
                continue
            scheme = match["scheme"].lower() if match["scheme"] else None
            port = int(match["port"]) if match["port"] else None
            host = match["host"].lower().strip("[]")
            self.rules.append(_Rule(scheme, host, match["any"] is not None, port))
        if problems:
            raise ParameterError(problems)

    def target(self, address: str) -> Target:
        """Take an address apart, if films may be fetched from its host.

        Raises:
            Refusal: 403, they may not; 400, it is no address.
        """
        if not self.rules:
            raise Refusal(403, "this server fetches no addresses; send it the film")
        target = _parsed(address)
        if not any(rule.permits(target) for rule in self.rules):
            raise Refusal(403, f"films from {target.scheme}://{target.authority} are not fetched by this server")
        return target

    async def addresses(self, target: Target) -> list[IPAddress]:
        """What its name means right now.

        Raises:
            Refusal: 422, nothing; 403, an address that strangers must not reach through this server.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Refusal(422, f"there is no host {target.host}") from None
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
        if not addresses or not all(self._may_connect(address) for address in addresses):
            raise Refusal(403, f"{target.host} is no public address")
        return list(dict.fromkeys(addresses))

    def _may_connect(self, address: IPAddress) -> bool:
        if self.private:
            return not (address.is_multicast or address.is_unspecified)
        return is_public(address)


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the public network: what a gateway would make of it counts.

    Example:
        >>> [is_public(ipaddress.ip_address(a)) for a in ("8.8.8.8", "169.254.169.254", "::ffff:10.0.0.1")]
        [True, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _parsed(address: str) -> Target:
    # Programs differ in what they read out of odd characters: these have no place in an address.
    if len(address) > LONGEST or not address.isprintable() or re.search(r"[\s\\<>\"{}|^`]", address):
        raise Refusal(400, "this is no address")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
    except ValueError:  # UnicodeError is one
        raise Refusal(400, "this is no address") from None
    if parts.scheme not in _PORTS or not host:
        raise Refusal(403, "films are fetched from addresses that begin with http:// or https://")
    if "@" in parts.netloc:
        raise Refusal(403, "addresses with a user or a password are not fetched")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise Refusal(400, "this is no address: write characters beyond ASCII as %XX")
    return Target(parts.scheme, host.rstrip("."), port or _PORTS[parts.scheme], path)
