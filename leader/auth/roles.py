"""Who may do what: four roles, nine permissions, one table."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    SUBMITTER = "submitter"
    VIEWER = "viewer"
    FOLLOWER = "follower"


class Permission(StrEnum):
    """What a route needs."""

    OPEN = "open"  # no token at all: health only
    READ = "read"
    SUBMIT = "submit"
    SUBMIT_URGENT = "submit-urgent"  # before everybody else's work, and nothing rises past it by waiting
    CANCEL = "cancel"
    UPLOAD = "upload"  # models and datasets, and their cards
    DELETE = "delete"  # a model that others may have measured
    FOLLOW = "follow"  # be a follower
    ADMINISTER = "administer"  # give and take away tokens


GRANTS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(Permission),
    Role.SUBMITTER: frozenset({Permission.READ, Permission.SUBMIT, Permission.CANCEL, Permission.UPLOAD}),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.FOLLOWER: frozenset({Permission.FOLLOW}),
}


def is_granted(role: Role, permission: Permission) -> bool:
    """Whether ``role`` may do what needs ``permission``."""
    return permission is Permission.OPEN or permission in GRANTS[role]
