"""The peers whose word on their clients is believed: addresses and networks."""
from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
EVERYBODY = '*'
UNIX = ''  # those on a unix socket have no address


class Peers(Container[str]):
    """'127.0.0.1, 10.0.0.0/8' or '*'. Those on a unix socket are always among them."""

    def __init__(self, names: str) -> None:
        """Raises ValueError."""
        self._is_everybody = names.strip() == EVERYBODY
        self._networks = [] if self._is_everybody else [_network(name.strip()) for name in names.split(',')]

    def __contains__(self, peer: object) -> bool:
        if self._is_everybody or peer == UNIX:
            return True
        address = _address(str(peer))
        return address is not None and any(address in network for network in self._networks)


def _network(name: str) -> Network:
    """Raises ValueError."""
    network = ip_network(name)
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return ip_network(f'{mapped}/{network.prefixlen - 96}') if mapped and network.prefixlen >= 96 else network


@lru_cache(maxsize=1024)
def _address(name: str) -> Address | None:
    """None for what is no address. What a socket for both kinds says of an IPv4 peer, ::ffff:10.0.0.1, is IPv4."""
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
