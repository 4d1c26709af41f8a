"""Whether operations that a run left unknown may still take effect."""

from collections.abc import Collection

from shared.core.problems import ItemProblem
from shared.fanout import batch_records
from shared.fanout.bindings import chunk_sender
from shared.recovery.settling import refuse_doubt
from shared.runs.spec import RunSpec
from shared.storage.base import Store


def refuse_in_doubt(store: Store, former: RunSpec, items: Collection[str], *, happened: bool) -> None:
    """Refuse that operations did not happen while their calls may still take effect.

    Raises:
        MayStillHappen: one may.
    """
    batch = batch_records.read_batch(store, former.run)
    if happened or batch is None:
        return
    try:
        late = chunk_sender(former, batch).done_within
    except ItemProblem:
        # The target is gone from the settings: nothing can be sent again either.
        return
    wanted = frozenset(items)
    for chunk in range(len(batch_records.read_plan(store, former.run).chunks)):
        payload = batch_records.read_payload(store, former.run, chunk)
        some = [one for one in payload.operations if one.id in wanted] if payload else []
        called = batch_records.called_last(store, former.run, chunk) if some else {}
        for one in some:
            if one.place in called:
                refuse_doubt(one.id, called[one.place].at + late, happened=happened)
