-- A `call` node is left twice: into the other flow, and when that one has come back. It is one visit, the latter.
-- Else as in 0009_flow_analytics.sql.

CREATE OR REPLACE FUNCTION crm.flow_visits(since timestamptz, until timestamptz)
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
      AND NOT (v.verb = 'call' AND v.outcome = 'done' AND v.next_flow = v.went_to AND v.next_flow <> v.flow)
$$;
COMMENT ON FUNCTION crm.flow_visits IS
    'Every time one of the calls that started in [since, until) was in a node of a flow: its outcome, where it went '
    '(a node, or hangup, return; empty with the outcome hangup: the caller left), and how long it was there: since the '
    'node before, or the start of the flow. A queue or dial node holds the wait and the conversation too. '
    'A call node counts when the other flow has come back.';
