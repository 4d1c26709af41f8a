"""A small Functions host for development and tests, built from Microsoft's own parts; it is no production host.

It runs an unmodified function app on 127.0.0.1 and behaves as Azure does where that hurts: HTTP functions, timers and
durable functions share no memory, a work item is given again when its worker dies, a finished instance id can be
started anew, numbers lose digits between orchestrator and activity, and routes, keys, bodies and schedules are handled
as the platform handles them.

`Host` is all there is to use; `local.clock.LocalClock` tells its time and pushes it forward.
"""
