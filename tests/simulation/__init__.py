"""The queue's protocol under virtual time: real leaders and real followers' state machines, with faults from a seed.

Nothing here waits, opens a socket or starts a process, and the same seed gives the same run to the last event.

The foundation, on which crash points can be enumerated and mutations caught, too:

``virtual_loop``
    ``VirtualLoop``: an asyncio loop whose time jumps (``run_until(at_s)``, ``run_until_complete(coroutine)``); threads
    run in line. ``Program``: tasks that are killed (``kill()``) or held up (``hold_up(seconds)``) together.
    ``VirtualClock``: shared.clock.Clock of a machine; ``wrong_by`` sets its wall clock wrong, never its monotonic one.
``memory``, ``documents``, ``blobs``
    ``MemoryStore`` survives every crash; ``perfdb_on(store, gate)`` is the leader's own MongoPerfDB on it, held to the
    same contract as the real servers in tests/contract. ``store.watchers``: told of each document that changed,
    ``(collection, before, after)``. ``MemoryBlobs``: the same for bytes. ``OpenGate``: no faults.
``faults``
    ``Choke``: the one point that every operation of every leader passes. Its ``plan`` is a function
    ``Operation -> Fault``: an operation has ``leader``, ``name`` ("runs.update_one"), ``number`` (of the write, from
    1; 0 is a read) and ``caller()`` (the leader's methods that led to it); a fault is ``NO_FAULT``, ``FAIL_BEFORE``,
    ``FAIL_AFTER``, ``CRASH_BEFORE``, ``CRASH_AFTER`` or ``Fault(kind, delay_s)``.
``leaders``
    ``Shared(loop, choke)``: what leaders have in common. ``SimulatedLeader(name, shared)``: ``start()``, ``crash()``,
    ``crash_and_restart(after_s)``; its ``desk`` is what the API calls, None while nobody answers. ``asked(leader,
    lambda desk: desk.queue.claim(...))`` is a request: it raises Unavailable where the leader dies over it.

The world, on top of it:

``world``
    ``World(rng, Size(leaders, slots))``: leaders, hosts, a network and clients. ``begin()``, ``submit(plan)``,
    ``cancel(client)``, then ``loop.run_until(at_s)``; what goes wrong: ``crash_leader``, ``hold_up_leader``,
    ``step_clock``, ``hold_up_host``, ``pause_host``, ``cut``, ``set_weather``; at last ``heal()``,
    ``settle(within_s)``, ``check()``, ``end()``.
``network``, ``hosts``, ``agents``, ``attempts``, ``disk``, ``clients``
    Messages with mishaps; a follower's machine; its agent (the real state machine, the real calls); scripted attempts;
    what survives on disk; people who submit and cancel.
``inspector``, ``laws``, ``settled``, ``accounts``
    Promises and the protocol's own laws, checked at every write, answer and device; what holds once everything has
    calmed down; numbers, compared with what they were made of.
``seeds``, ``campaign``
    ``run_seed(seed) -> Outcome``; many of them on several cores. ``python -m simulation SEED --trace`` prints every
    event of one (``PYTHONPATH=tests``); ``make chaos-long`` plays two hundred thousand.

Nothing left to chance:

``stories``, ``plots``, ``cues``
    Scripted stories; what one is made of; the moments in it, and what goes wrong at them.
``stage``, ``actors``, ``points``, ``grid``
    The world in which a story is played, where each store write, ring, instruction and disk write is a numbered and
    named point; GridFS in memory, so that uploads have their real writes.
``crash_points``
    Every death at every point, and every write's failure: ``python -m simulation.crash_points STORY ATTEMPT ACTOR
    NUMBER WHEN BACK_AFTER_S`` plays one, with all that happens.
``mutations``, ``hunts``
    A table of bugs that the protocol must not have, and what finds each of them.

What is not simulated: HTTP and its parsing, real threads (calls of one agent interleave, its state machine does not),
MongoDB beyond its contract (no elections, no lost acknowledged writes), uploads of models; in storms no deadlines,
searches and reuse.

A crash at the n-th write, in full::

    loop = VirtualLoop()
    choke = Choke(loop, plan=lambda operation: CRASH_AFTER if operation.number == n else NO_FAULT)
    leader = SimulatedLeader("leader", Shared(loop, choke))
    choke.on_crash = lambda _program: leader.crash_and_restart(after_s=2.0)
    leader.start()
    loop.run_until_complete(scenario(leader))
    close(loop, leader)
"""
