"""The command line's own leaves of the error tree.

InferBenchError
├── InvalidInput
│   ├── InvalidSetting     an INFERBENCH_ variable or a flag cannot be right
│   ├── UnreadableFile     a file named on the command line cannot be read
│   └── NotComparable      two records answer different questions
├── Conflict
│   ├── AlreadyRunning     another stack holds the data folder
│   └── PortTaken
├── Unauthenticated
│   └── NoToken            no token was given and none was found
└── Unavailable
    ├── NoLeader           nothing answers at the leader's address
    ├── ChildNotReady      a child of the stack missed its deadline, or ended before it was ready
    └── ChildDied          a child of the running stack ended by itself
"""

from shared.errors import Conflict, InvalidInput, Unauthenticated, Unavailable


class InvalidSetting(InvalidInput):
    """A variable or a flag cannot be right."""

    code = "invalid-setting"
    title = "A setting is not valid"


class UnreadableFile(InvalidInput):
    """A file named on the command line cannot be read."""

    code = "unreadable-file"
    title = "The file cannot be read"


class NotComparable(InvalidInput):
    """Two records answer different questions."""

    code = "not-comparable"
    title = "These cannot be compared"


class AlreadyRunning(Conflict):
    """Another stack holds the data folder."""

    code = "already-running"
    title = "The stack is already running"


class PortTaken(Conflict):
    """Another process listens on the leader's port."""

    code = "port-taken"
    title = "The port is taken"


class NoToken(Unauthenticated):
    """No token was given and none was found."""

    code = "no-token"
    title = "No token"


class NoLeader(Unavailable):
    """Nothing answers at the leader's address."""

    code = "no-leader"
    title = "No leader answers"


class ChildNotReady(Unavailable):
    """A child of the stack did not get ready."""

    code = "stack-not-ready"
    title = "A part of the stack did not get ready"


class ChildDied(Unavailable):
    """A child of the running stack ended by itself."""

    code = "stack-child-died"
    title = "A part of the stack ended by itself"
