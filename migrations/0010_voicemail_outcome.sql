-- Most callers end their message by hanging up: the flow is over then before its file tells that there is a message.
-- Such a call ended as `voicemail`, like one whose flow went on after it. Else as in 0004_fold.sql.

CREATE OR REPLACE FUNCTION crm.fold_call_rows(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    WITH e AS MATERIALIZED (
        SELECT * FROM crm.events_of(ids)
    ), f AS (
        SELECT call_id,
            min(at) AS first_at,
            min(at) FILTER (WHERE type = 'call.arrived') AS arrived_at,
            min(at) FILTER (WHERE type = 'call.queued') AS queued_at,
            min(at) FILTER (WHERE type = 'call.connected') AS connected_at,
            min(at) FILTER (WHERE type = 'call.ended') AS ended_at,
            min(at) FILTER (WHERE type = 'call.wrapped') AS wrapped_at,
            (array_agg(data ORDER BY seq) FILTER (WHERE type = 'call.arrived'))[1] AS arrived,
            (array_agg(data ORDER BY seq) FILTER (WHERE type = 'call.ended'))[1] AS ended,
            (array_agg(data ORDER BY seq) FILTER (WHERE type = 'flow.started'))[1] AS flow,
            (array_agg(data ->> 'how' ORDER BY seq DESC) FILTER (WHERE type = 'flow.ended'))[1] AS flow_how,
            (array_agg(data -> 'customers' ORDER BY seq DESC)
                FILTER (WHERE type = 'call.identified' AND jsonb_typeof(data -> 'customers') = 'array'))[1]
                AS customers,
            (array_agg(queue ORDER BY seq) FILTER (WHERE type = 'call.queued'))[1] AS queue,
            (array_agg(agent ORDER BY seq) FILTER (WHERE type = 'call.connected'))[1] AS talked,
            (array_agg(agent ORDER BY seq) FILTER (WHERE type = 'call.arrived'))[1] AS placed_by,
            (array_agg(data ->> 'code' ORDER BY seq DESC) FILTER (WHERE type = 'call.disposition_set'))[1]
                AS disposition,
            count(*) FILTER (WHERE type = 'voicemail.left') > 0 AS voicemail,
            count(*) FILTER (WHERE type = 'flow.started') AS flows,
            count(*) FILTER (WHERE type = 'call.connected')
                <= count(*) FILTER (WHERE type = 'call.wrapped') AS wrapped,
            count(DISTINCT data ->> 'recording_id') FILTER (WHERE type = 'recording.started')
                <= count(DISTINCT data ->> 'recording_id') FILTER (WHERE type = 'recording.stopped') AS recorded
        FROM e GROUP BY call_id
    ), attributes AS (
        SELECT e.call_id, jsonb_object_agg(var.key, var.value ORDER BY e.seq) AS vars
        FROM e, jsonb_each(CASE jsonb_typeof(e.data -> 'vars') WHEN 'object' THEN e.data -> 'vars' END) AS var
        GROUP BY e.call_id
    )
    INSERT INTO crm.calls AS c
        (call_id, story_id, direction, caller, caller_name, called, customer_id, flow, flow_version, queue, agent,
         started_at, queued_at, offered_at, connected_at, ended_at, wrapped_at, outcome, voicemail,
         hangup_side, hangup_cause, disposition, campaign, recordings, attributes, finished)
    SELECT f.call_id, coalesce(crm.id(arrived ->> 'story_id'), f.call_id),
        coalesce(arrived ->> 'direction', 'inbound'),
        nullif(arrived ->> 'caller', ''), nullif(arrived ->> 'caller_name', ''), nullif(arrived ->> 'called', ''),
        CASE WHEN jsonb_array_length(customers) = 1 AND customers ->> 0 ~ '^[0-9]{1,18}$'
             THEN (customers ->> 0)::bigint END,
        flow ->> 'flow', crm.int(flow -> 'version'), f.queue, coalesce(talked, placed_by),
        coalesce(arrived_at, first_at), queued_at, answered.offered_at, connected_at, ended_at, wrapped_at,
        CASE WHEN connected_at IS NOT NULL THEN 'answered'
             WHEN ended_at IS NULL THEN NULL
             ELSE coalesce(visit.result, crm.flow_outcome(
                 coalesce(nullif(ended ->> 'flow_result', ''), CASE WHEN f.voicemail THEN
                          coalesce(nullif(flow_how, 'flow_ended'), 'voicemail') END, flow_how), flows)) END,
        f.voicemail, ended ->> 'side', crm.int(ended -> 'cause'), disposition, arrived ->> 'campaign',
        coalesce(kept.n, 0), coalesce(attributes.vars, '{}'),
        ended_at IS NOT NULL AND f.wrapped AND f.recorded
    FROM f
    LEFT JOIN attributes USING (call_id)
    LEFT JOIN LATERAL (SELECT v.result FROM crm.queue_visits AS v WHERE v.call_id = f.call_id
                       ORDER BY v.seq DESC LIMIT 1) AS visit ON true
    LEFT JOIN LATERAL (SELECT o.offered_at FROM crm.offers AS o WHERE o.call_id = f.call_id
                       AND o.result = 'answered' ORDER BY o.ended_at, o.offer LIMIT 1) AS answered ON true
    LEFT JOIN LATERAL (SELECT count(*)::integer AS n FROM crm.recordings AS r WHERE r.call_id = f.call_id
                       AND r.bytes > 0) AS kept ON true
    ON CONFLICT (call_id) DO UPDATE SET
        (story_id, direction, caller, caller_name, called, customer_id, flow, flow_version, queue, agent,
         started_at, queued_at, offered_at, connected_at, ended_at, wrapped_at, outcome, voicemail,
         hangup_side, hangup_cause, disposition, campaign, recordings, attributes, finished) =
        ROW (EXCLUDED.story_id, EXCLUDED.direction, EXCLUDED.caller, EXCLUDED.caller_name, EXCLUDED.called,
             EXCLUDED.customer_id, EXCLUDED.flow, EXCLUDED.flow_version, EXCLUDED.queue, EXCLUDED.agent,
             EXCLUDED.started_at, EXCLUDED.queued_at, EXCLUDED.offered_at, EXCLUDED.connected_at,
             EXCLUDED.ended_at, EXCLUDED.wrapped_at, EXCLUDED.outcome, EXCLUDED.voicemail, EXCLUDED.hangup_side,
             EXCLUDED.hangup_cause, EXCLUDED.disposition, EXCLUDED.campaign, EXCLUDED.recordings,
             EXCLUDED.attributes, EXCLUDED.finished)
$$;

UPDATE crm.calls SET outcome = 'voicemail' WHERE voicemail AND outcome = 'flow_ended';
