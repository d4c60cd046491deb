"""Which leader to talk to, and as whom."""

from dataclasses import dataclass
from pathlib import Path

from cli.errors import InvalidSetting, NoLeader, NoToken
from cli.settings import Settings
from cli.stack.files import StackFile, read_stack_file
from cli.stack.layout import DataDir


@dataclass(frozen=True)
class Connection:
    """An address without a trailing slash, and the token for it."""

    url: str
    token: str


def resolve(settings: Settings, *, url: str | None = None, token_file: Path | None = None) -> Connection:
    """Flags go before the environment, the environment before the stack of the data folder.

    A stack's admin token is used for that stack only: it must not be sent to some other leader.

    Raises:
        InvalidSetting: the address is none.
        NoLeader: no address is given anywhere, and no stack is running here.
        NoToken: no token is given anywhere, or its file cannot be read.
    """
    stack = read_stack_file(DataDir(settings.data_dir.absolute()).stack_file)
    chosen = _url(settings, url, stack)
    return Connection(chosen, _token(settings, token_file, stack if stack and stack.url == chosen else None))


def _url(settings: Settings, flag: str | None, stack: StackFile | None) -> str:
    given = flag or settings.url
    if given:
        if not given.startswith(("http://", "https://")):
            raise InvalidSetting(f"the leader's address is {given!r}; it must start with http:// or https://")
        return given.rstrip("/")
    if stack is None:
        raise NoLeader(
            f"no leader is named and none runs from {settings.data_dir}: start one with `inferbench up`, "
            "or name one with --url or INFERBENCH_URL"
        )
    if not stack.is_alive:
        raise NoLeader(
            f"the stack of {settings.data_dir} was killed (pid {stack.pid} is gone); "
            "start it again with `inferbench up`"
        )
    return stack.url


def _token(settings: Settings, flag: Path | None, stack: StackFile | None) -> str:
    if flag is not None:
        return _read_token(flag)
    if settings.token:
        return settings.token
    if settings.token_file is not None:
        return _read_token(settings.token_file)
    if stack is not None:
        return _read_token(Path(stack.admin_token_file))
    raise NoToken("no token: name its file with --token-file or INFERBENCH_TOKEN_FILE, or set INFERBENCH_TOKEN")


def _read_token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoToken(f"the token file {path} cannot be read: {error}") from error
    if not token:
        raise NoToken(f"the token file {path} is empty")
    return token
