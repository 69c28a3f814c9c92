-- How callers go through the flows, computed from events when somebody asks: nothing to keep in step, nothing to
-- recompute. A period means the calls that STARTED in it, with all they did in the day after it, so that figures of
-- nodes and of calls are about the same calls.

CREATE FUNCTION crm.seconds(earlier timestamptz, later timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $2 > $1 THEN extract(epoch FROM $2 - $1)::float8 WHEN $2 <= $1 THEN 0 END
$$;
COMMENT ON FUNCTION crm.seconds IS 'From one to the other, never less than none; null when one is not known.';

CREATE FUNCTION crm.flow_visits(since timestamptz, until timestamptz)
RETURNS TABLE (
    call_id uuid, seq integer, flow text, version integer, node text, verb text, outcome text, went_to text,
    entered_at timestamptz, left_at timestamptz, seconds double precision
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT v.call_id, v.seq, v.flow, v.version, v.node, v.verb, v.outcome, v.went_to, v.entered_at, v.at,
        crm.seconds(v.entered_at, v.at)
    FROM (
        SELECT e.*, lag(e.at) OVER story AS entered_at, lag(e.seq) OVER story AS seq_before,
            lead(e.flow) OVER story AS next_flow
        FROM (  -- only what is needed goes into the sort
            SELECT e.call_id, e.seq, e.at, e.type, c.flow_version AS version, e.data ->> 'flow' AS flow,
                e.data ->> 'node' AS node, e.data ->> 'verb' AS verb, e.data ->> 'outcome' AS outcome,
                coalesce(e.data ->> 'to', '') AS went_to
            FROM crm.events AS e JOIN crm.calls AS c USING (call_id)
            WHERE e.type IN ('flow.started', 'flow.node') AND e.at >= $1 AND e.at < $2 + interval '1 day'
              AND c.started_at >= $1 AND c.started_at < $2
        ) AS e
        WINDOW story AS (PARTITION BY e.call_id ORDER BY e.seq)
    ) AS v
    WHERE v.type = 'flow.node' AND v.seq_before IS DISTINCT FROM v.seq
      -- a `call` node is left twice: into the other flow, and when that one has come back; it is one visit, the latter
      AND NOT (v.verb = 'call' AND v.outcome = 'done' AND v.next_flow = v.went_to AND v.next_flow <> v.flow)
$$;
COMMENT ON FUNCTION crm.flow_visits IS
    'Every time one of the calls that started in [since, until) was in a node of a flow: its outcome, where it went '
    '(a node, or hangup, return; empty with the outcome hangup: the caller left), and how long it was there: since the '
    'node before, or the start of the flow. A queue or dial node holds the wait and the conversation too. '
    'A call node counts when the other flow has come back.';

CREATE FUNCTION crm.flow_calls(since timestamptz, until timestamptz, last_nodes text[])
RETURNS TABLE (
    call_id uuid, flow text, version integer, started_at timestamptz, result text, seconds double precision
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT c.call_id, c.flow, c.flow_version, c.started_at,
        CASE WHEN e.handed_at IS NOT NULL THEN 'people'
             WHEN e.how = 'failed' THEN 'failed'
             WHEN c.voicemail OR e.left_in = ANY ($3) THEN 'contained'
             WHEN e.left_in IS NOT NULL THEN 'dropped'
             WHEN e.how IS NOT NULL THEN 'contained'
             WHEN c.ended_at IS NOT NULL THEN 'dropped'
             ELSE 'running' END,
        crm.seconds(e.began_at, least(e.handed_at, e.ended_at, c.ended_at))
    FROM crm.calls AS c JOIN (
        SELECT call_id, min(at) FILTER (WHERE type = 'flow.started') AS began_at,
            min(at) FILTER (WHERE type IN ('call.queued', 'call.dialed')) AS handed_at,
            min(at) FILTER (WHERE type = 'flow.ended') AS ended_at,
            min(data ->> 'how') FILTER (WHERE type = 'flow.ended') AS how,
            min((data ->> 'flow') || '/' || (data ->> 'node')) FILTER (WHERE type = 'flow.node') AS left_in
        FROM crm.events
        WHERE at >= $1 AND at < $2 + interval '1 day'
          AND (type IN ('flow.started', 'flow.ended', 'call.queued', 'call.dialed')
               OR type = 'flow.node' AND data ->> 'outcome' = 'hangup' AND coalesce(data ->> 'to', '') = '')
        GROUP BY call_id
    ) AS e USING (call_id)
    WHERE c.started_at >= $1 AND c.started_at < $2 AND c.flow IS NOT NULL
$$;
COMMENT ON FUNCTION crm.flow_calls IS
    'Every call that started in [since, until) and came into a flow, by its first flow. result: people (it was queued, '
    'or a number was dialled for it), failed (the flow could not go on), contained (it ended in the flow and was served '
    'there: the flow came to its end, a message was left, or the caller hung up in one of last_nodes, FLOW/NODE, after '
    'which nothing comes but the end), dropped (the caller left anywhere else), running. seconds: in the flow, until '
    'the call was handed to people or ended.';

CREATE FUNCTION crm.flow_path(call uuid)
RETURNS TABLE (
    seq integer, flow text, node text, verb text, outcome text, went_to text, entered_at timestamptz,
    left_at timestamptz, seconds double precision
) LANGUAGE sql STABLE AS $$
    SELECT v.seq, v.data ->> 'flow', v.data ->> 'node', v.data ->> 'verb', v.data ->> 'outcome',
        coalesce(v.data ->> 'to', ''), v.entered_at, v.at, crm.seconds(v.entered_at, v.at)
    FROM (SELECT *, lag(at) OVER (ORDER BY e.seq) AS entered_at FROM crm.events_of(ARRAY[call]) AS e
          WHERE e.type IN ('flow.started', 'flow.node')) AS v
    WHERE v.type = 'flow.node' ORDER BY v.seq
$$;
COMMENT ON FUNCTION crm.flow_path IS 'The nodes a call went through, in order, each with its times as in flow_visits.';
