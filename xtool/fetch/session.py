"""One HTTP request: proxies, certificates, redirects and what went wrong, in words.

The environment is the context's, not the process's: requests is told not to look for itself.
"""

from __future__ import annotations

import enum
import ipaddress
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from xtool import __version__
from xtool.errors import NetworkError
from xtool.text import plain

if TYPE_CHECKING:
    import requests

    from xtool.context import Context

_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Trouble(enum.Enum):
    """What a failed attempt means for the next one."""

    AGAIN = "worth another try at the same place"
    UNREACHABLE = "worth another try, but nothing answered"
    REFUSED = "this place will not give the file"
    GONE = "this place does not have the file"
    WRONG = "this place has another file under that name"


class AttemptError(Exception):
    """One attempt to get one file has failed.

    Args:
        trouble: what that means.
        reason: what happened, without the URL.
        hint: what the user can do, where it is known.
        wait: seconds that the server asked to wait.
    """

    def __init__(
        self, trouble: Trouble, reason: str, *, hint: str | None = None, wait: float | None = None
    ) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.reason = reason
        self.hint = hint
        self.wait = wait


class Client:
    """Opens URLs for several threads; can be closed from another one to end their reads."""

    def __init__(self, ctx: Context) -> None:
        self._environ = ctx.environ
        self._timeout = (ctx.settings.connect_timeout, ctx.settings.stall_timeout)
        self._local = threading.local()
        self._mutex = threading.Lock()
        self._sessions: list[requests.Session] = []
        self._open: set[requests.Response] = set()
        self._ca = _ca_bundle(ctx.environ)
        self.cancelled = threading.Event()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[requests.Response]:
        """Open a URL and hand out the response, its body not yet read.

        Redirects are followed, but not from https to http; credentials stay with the host that they are for.

        Raises:
            AttemptError: no response, or a status other than 200, 206 and 416.
        """
        response = self._follow(url, headers or {})
        with self._mutex:
            self._open.add(response)
        try:
            _check_status(response)
            yield response
        finally:
            with self._mutex:
                self._open.discard(response)
            response.close()

    def cancel(self) -> None:
        """End all waiting and reading; what is being read fails with an error in its own thread."""
        self.cancelled.set()
        with self._mutex:
            for response in self._open:
                # Closing would wait for the lock of the thread that reads; shutdown does not. One that has
                # been read to its end a moment ago says so with a RuntimeError.
                with suppress(OSError, ValueError, AttributeError, RuntimeError):
                    response.raw.shutdown()

    def close(self) -> None:
        """Close all connections."""
        with self._mutex:
            for session in self._sessions:
                session.close()
            self._sessions.clear()

    def _follow(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._request(url, headers)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not location:
                return response
            response.close()
            url = _redirected(url, location)
        raise AttemptError(Trouble.REFUSED, f"more than {_MAX_REDIRECTS} redirects, last to {redact(url)}")

    def _request(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        import requests

        proxy = proxy_for(url, self._environ)
        proxies = {urlsplit(url).scheme: proxy[1]} if proxy else {}
        try:
            return self._session().get(
                url,
                headers=dict(headers),
                stream=True,
                allow_redirects=False,
                timeout=self._timeout,
                proxies=proxies,
                verify=self._ca[1] if self._ca else True,
            )
        except (requests.RequestException, OSError, ValueError) as error:
            raise self._explain(error, url, proxy) from error

    def _session(self) -> requests.Session:
        import requests
        from requests.cookies import RequestsCookieJar

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.headers.update({"User-Agent": f"xtool/{__version__}", "Accept-Encoding": "identity"})
            session.cookies = RequestsCookieJar()
            self._local.session = session
            with self._mutex:
                self._sessions.append(session)
        session.cookies.clear()
        return session

    def _explain(self, error: Exception, url: str, proxy: tuple[str, str] | None) -> AttemptError:
        import requests

        host = urlsplit(url).hostname or url
        reason = plain(root_cause(error))
        if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL)) or (
            proxy is not None and isinstance(error, requests.exceptions.InvalidSchema)
        ):
            variable, address = proxy or ("the proxy", "")
            return AttemptError(
                Trouble.REFUSED,
                f"the proxy {redact(address)} of {variable} does not work: {reason}",
                hint=f"correct or unset {variable}, or name {host} in NO_PROXY",
            )
        if isinstance(error, requests.exceptions.SSLError):
            variable = self._ca[0] if self._ca else _CA_VARIABLES[0]
            using = f" (certificates from {variable}={self._ca[1]})" if self._ca else ""
            return AttemptError(
                Trouble.REFUSED,
                f"no secure connection to {host}: {reason}{using}",
                hint=f"{variable} names the file of certificate authorities to trust",
            )
        if isinstance(error, requests.ConnectTimeout):
            return AttemptError(Trouble.UNREACHABLE, f"no connection to {host} within {self._timeout[0]:g} s")
        if isinstance(error, requests.Timeout):
            return AttemptError(Trouble.UNREACHABLE, f"no answer from {host} within {self._timeout[1]:g} s")
        if isinstance(error, requests.ConnectionError):
            return AttemptError(Trouble.UNREACHABLE, f"no connection to {host}: {reason}")
        return AttemptError(Trouble.REFUSED, f"the request to {host} failed: {reason}")


def redact(url: str) -> str:
    """A URL that may be shown: credentials and query are hidden."""
    parts = urlsplit(url)
    _, at, address = parts.netloc.rpartition("@")
    netloc = f"***@{address}" if at else parts.netloc
    return plain(urlunsplit((parts.scheme, netloc, parts.path, "..." if parts.query else "", "")))


def proxy_for(url: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that names a proxy for a URL, and its value; None for a direct connection.

    The names and `NO_PROXY`'s syntax are curl's: hosts, domains with or without a leading dot, addresses,
    networks, `*`.
    """
    parts = urlsplit(url)
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if _is_exempt(parts, exempt):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            value = environ.get(variable)
            if value:
                return variable, value if "://" in value else f"http://{value}"
    return None


def root_cause(error: BaseException) -> str:
    """The innermost thing that an error of requests or urllib3 says, without addresses of objects."""
    seen: set[int] = set()
    current: BaseException = error
    while id(current) not in seen:
        seen.add(id(current))
        inner = getattr(current, "reason", None) or current.__cause__ or current.__context__
        if not isinstance(inner, BaseException):
            inner = next((item for item in current.args if isinstance(item, BaseException)), None)
        if inner is None or id(inner) in seen:
            break
        current = inner
    message = getattr(current, "verify_message", None) or getattr(current, "strerror", None) or str(current)
    return str(message) or type(current).__name__


def _is_exempt(parts: SplitResult, exempt: str) -> bool:
    host = (parts.hostname or "").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for entry in exempt.replace(",", " ").lower().split():
        name, _, port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if port and port != str(parts.port or ""):
            continue
        if name == "*":
            return True
        if address is not None:
            with suppress(ValueError):
                if address in ipaddress.ip_network(name, strict=False):
                    return True
        domain = name.removeprefix("*").removeprefix(".")
        if domain and (host == domain or host.endswith("." + domain)):
            return True
    return False


def _redirected(url: str, location: str) -> str:
    """Where a redirect leads; credentials are kept for the same origin only."""
    before, after = urlsplit(url), urlsplit(urljoin(url, location))
    if after.scheme not in ("http", "https") or not after.hostname:
        raise AttemptError(
            Trouble.REFUSED, f"redirected to {redact(after.geturl())}, which is not a web address"
        )
    if before.scheme == "https" and after.scheme == "http":
        raise AttemptError(
            Trouble.REFUSED, f"redirected from https to http ({redact(after.geturl())}), which is refused"
        )
    address = after.netloc.rpartition("@")[2]
    credentials, at, origin = before.netloc.rpartition("@")
    same = (before.scheme, origin) == (after.scheme, address)
    return urlunsplit(after._replace(netloc=f"{credentials}@{address}" if at and same else address))


def _check_status(response: requests.Response) -> None:
    status = response.status_code
    if status in (200, 206, 416):
        return
    said = plain(f"HTTP {status} {response.reason or ''}".strip())
    if status in _GONE:
        raise AttemptError(Trouble.GONE, said)
    if status in _AGAIN:
        raise AttemptError(Trouble.AGAIN, said, wait=_retry_after(response.headers.get("Retry-After")))
    hint = "HTTP_PROXY and HTTPS_PROXY may hold a user and a password" if status == 407 else None
    if status in (401, 403):
        hint = "a mirror's URL, as in XTOOL_DEBIAN_MIRROR, may hold a user and a password"
    raise AttemptError(Trouble.REFUSED, said, hint=hint)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: a number of seconds or a date)."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    with suppress(ValueError, TypeError):
        date = parsedate_to_datetime(value)
        return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())
    return None


def _ca_bundle(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that names certificate authorities, and the file or folder that it names."""
    for variable in _CA_VARIABLES:
        value = environ.get(variable)
        if not value:
            continue
        if not Path(value).exists():
            raise NetworkError(
                f"{variable} names a file that does not exist",
                facts=[f"{variable}={value}"],
                hint=f"correct or unset {variable}",
                code="bad-ca-bundle",
            )
        return variable, value
    return None
