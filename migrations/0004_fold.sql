-- Folds: rows of calls, visits, offers, recordings and agent states computed from events.
-- Each fold of calls reads ALL events of a call, so it does not matter in which order, in how many pieces or how often
-- they came: the same events end in the same rows. `SELECT crm.fold_calls(array_agg(call_id)) FROM crm.calls`
-- recomputes everything.

CREATE FUNCTION crm.call_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN substr(id::text, 15, 1) = '7'
        THEN to_timestamp(('x0000' || replace(left(id::text, 13), '-', ''))::bit(64)::bigint / 1000.0)
        ELSE '-infinity' END
$$;
COMMENT ON FUNCTION crm.call_time IS 'The time inside a UUIDv7; -infinity for other ids.';

-- Lenient readers: what is not what it should be is null, never an error.
CREATE FUNCTION crm.num(value jsonb) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'number' AND abs((value #>> '{}')::numeric) < 1e15
        THEN (value #>> '{}')::double precision END
$$;
COMMENT ON FUNCTION crm.num IS 'A JSON number, or null.';
CREATE FUNCTION crm.int(value jsonb) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN abs(crm.num(value)) < 2147483647 THEN crm.num(value)::integer END
$$;
COMMENT ON FUNCTION crm.int IS 'A JSON number that fits an integer, or null.';
CREATE FUNCTION crm.moment(value jsonb) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN crm.num(value) BETWEEN 0 AND 1e11 THEN to_timestamp(crm.num(value)) END
$$;
COMMENT ON FUNCTION crm.moment IS 'Seconds since the epoch in JSON as a time, or null.';
CREATE FUNCTION crm.id(value text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN value::uuid END
$$;
COMMENT ON FUNCTION crm.id IS 'Text as a UUID, or null.';

CREATE FUNCTION crm.events_of(ids uuid[]) RETURNS SETOF crm.events LANGUAGE plpgsql STABLE AS $$
DECLARE
    since timestamptz := (SELECT min(crm.call_time(id)) - interval '1 day' FROM unnest(ids) AS id);
BEGIN  -- the time as a literal: then not even the planner looks at older partitions
    RETURN QUERY EXECUTE format(
        'SELECT DISTINCT ON (call_id, seq) * FROM crm.events WHERE call_id = ANY ($1) AND at >= %L '
        'ORDER BY call_id, seq, event_id', since) USING ids;
END $$;
COMMENT ON FUNCTION crm.events_of IS
    'All events of these calls, each (call_id, seq) once; older partitions than the calls are not read.';

CREATE FUNCTION crm.visits_of(ids uuid[])
RETURNS TABLE (call_id uuid, visit text, seq integer, event crm.events) LANGUAGE sql STABLE AS $$
    SELECT f.call_id, f.visit, (row_number() OVER (PARTITION BY f.call_id ORDER BY f.first_seq))::integer, f.event
    FROM (SELECT DISTINCT ON (e.call_id, coalesce(e.data ->> 'visit', ''))
              e.call_id, coalesce(e.data ->> 'visit', '') AS visit, e.seq AS first_seq, e AS event
          FROM crm.events_of(ids) AS e
          WHERE e.type = 'call.queued'
          ORDER BY e.call_id, coalesce(e.data ->> 'visit', ''), e.seq) AS f
$$;
COMMENT ON FUNCTION crm.visits_of IS 'The queue visits of these calls: name, number from 1, event that began each.';

CREATE FUNCTION crm.fold_visits(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    WITH e AS MATERIALIZED (
        SELECT *, coalesce(data ->> 'visit', '') AS visit FROM crm.events_of(ids)
    ), gone AS (
        SELECT DISTINCT ON (call_id, visit) * FROM e WHERE type = 'call.dequeued' ORDER BY call_id, visit, seq
    ), talked AS (
        SELECT DISTINCT ON (call_id, visit) * FROM e WHERE type = 'call.connected' ORDER BY call_id, visit, seq
    ), moved AS (
        SELECT DISTINCT ON (call_id, visit) *
        FROM e WHERE type = 'call.priority_changed' ORDER BY call_id, visit, seq DESC
    ), ended AS (
        SELECT DISTINCT ON (call_id) * FROM e WHERE type = 'call.ended' ORDER BY call_id, seq
    )
    INSERT INTO crm.queue_visits AS v
        (call_id, seq, queue, entered_at, left_at, result, agent, priority, skills)
    SELECT q.call_id, q.seq, (q.event).queue,
        coalesce(crm.moment((q.event).data -> 'entered_at'), (q.event).at),
        coalesce(gone.at, talked.at, ended.at),
        CASE WHEN gone.seq IS NOT NULL THEN coalesce(gone.data ->> 'result', 'failed')
             WHEN talked.seq IS NOT NULL THEN 'answered'
             -- The call is over and nobody said how the wait ended: say it here, visits must add up.
             WHEN ended.data ->> 'side' = 'caller' THEN 'abandoned'
             WHEN ended.seq IS NOT NULL THEN 'failed' END,
        coalesce(talked.agent, CASE WHEN gone.data ->> 'result' = 'answered'
                                    THEN coalesce(gone.agent, gone.data ->> 'agent') END),
        coalesce(crm.int(moved.data -> 'priority'), crm.int((q.event).data -> 'priority')),
        coalesce((q.event).data -> 'needs', (q.event).data -> 'skills', '{}')
    FROM crm.visits_of(ids) AS q
    LEFT JOIN gone ON (gone.call_id, gone.visit) = (q.call_id, q.visit)
    LEFT JOIN talked ON (talked.call_id, talked.visit) = (q.call_id, q.visit)
    LEFT JOIN moved ON (moved.call_id, moved.visit) = (q.call_id, q.visit)
    LEFT JOIN ended ON ended.call_id = q.call_id
    ON CONFLICT (call_id, seq) DO UPDATE SET
        (queue, entered_at, left_at, result, agent, priority, skills) =
        ROW (EXCLUDED.queue, EXCLUDED.entered_at, EXCLUDED.left_at, EXCLUDED.result, EXCLUDED.agent,
             EXCLUDED.priority, EXCLUDED.skills)
$$;
COMMENT ON FUNCTION crm.fold_visits IS 'Recomputes crm.queue_visits of these calls.';

CREATE FUNCTION crm.fold_offers(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    WITH e AS MATERIALIZED (
        SELECT *, coalesce(data ->> 'offer', '') AS offer FROM crm.events_of(ids)
    ), made AS (
        SELECT DISTINCT ON (call_id, offer) * FROM e WHERE type = 'call.offered' ORDER BY call_id, offer, seq
    ), finished AS (  -- an offer that was answered is answered, whatever else was reported
        SELECT DISTINCT ON (call_id, offer) *,
            CASE type WHEN 'call.connected' THEN 'answered' ELSE substr(type, 7) END AS result
        FROM e
        WHERE type IN ('call.connected', 'offer.missed', 'offer.rejected', 'offer.cancelled', 'offer.caller_left')
        ORDER BY call_id, offer, type <> 'call.connected', seq
    ), ends AS (  -- the wrap-up is what the same agent ends next
        SELECT *, CASE lead(type) OVER next WHEN 'call.wrapped' THEN lead(at) OVER next END AS wrapped_at
        FROM e WHERE type IN ('call.disconnected', 'call.wrapped')
        WINDOW next AS (PARTITION BY call_id, agent ORDER BY seq)
    ), talked AS (
        SELECT DISTINCT ON (call_id, offer) * FROM ends WHERE type = 'call.disconnected' ORDER BY call_id, offer, seq
    ), ended AS (
        SELECT DISTINCT ON (call_id) * FROM e WHERE type = 'call.ended' ORDER BY call_id, seq
    )
    INSERT INTO crm.offers AS o
        (call_id, offer, visit_seq, queue, agent, offered_at, ended_at, result, decision, disconnected_at, wrapped_at)
    SELECT made.call_id, made.offer, v.seq, coalesce(made.queue, (v.event).queue), made.agent, made.at,
        coalesce(finished.at, ended.at),
        coalesce(finished.result, CASE WHEN ended.seq IS NOT NULL THEN 'caller_left' END),
        made.data -> 'decision', talked.at, talked.wrapped_at
    FROM made
    LEFT JOIN finished ON (finished.call_id, finished.offer) = (made.call_id, made.offer)
    LEFT JOIN talked ON (talked.call_id, talked.offer) = (made.call_id, made.offer)
    LEFT JOIN ended ON ended.call_id = made.call_id
    LEFT JOIN crm.visits_of(ids) AS v
           ON (v.call_id, v.visit) = (made.call_id, coalesce(made.data ->> 'visit', ''))
    ON CONFLICT (call_id, offer) DO UPDATE SET
        (visit_seq, queue, agent, offered_at, ended_at, result, decision, disconnected_at, wrapped_at) =
        ROW (EXCLUDED.visit_seq, EXCLUDED.queue, EXCLUDED.agent, EXCLUDED.offered_at, EXCLUDED.ended_at,
             EXCLUDED.result, EXCLUDED.decision, EXCLUDED.disconnected_at, EXCLUDED.wrapped_at)
$$;
COMMENT ON FUNCTION crm.fold_offers IS 'Recomputes crm.offers of these calls.';

CREATE FUNCTION crm.fold_recordings(ids uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO crm.recordings AS r
        (recording_id, call_id, agent, started_at, seconds, channels, bytes, sha256, paused_seconds, path)
    SELECT DISTINCT ON (data ->> 'recording_id')
        data ->> 'recording_id', call_id, coalesce(agent, data ->> 'agent'),
        coalesce(crm.moment(data -> 'started_at'), at),
        coalesce(crm.num(data -> 'seconds'), 0), coalesce(crm.int(data -> 'channels'), 0),
        coalesce(crm.num(data -> 'bytes'), 0)::bigint, data ->> 'sha256',
        coalesce(crm.num(data -> 'paused_seconds'), 0), data ->> 'path'
    FROM crm.events_of(ids)
    WHERE type = 'recording.stopped' AND data ->> 'recording_id' IS NOT NULL
    ORDER BY data ->> 'recording_id', (coalesce(crm.num(data -> 'bytes'), 0) > 0) DESC, call_id, seq
    ON CONFLICT (recording_id) DO UPDATE SET
        (call_id, agent, started_at, seconds, channels, bytes, sha256, paused_seconds, path) =
        ROW (EXCLUDED.call_id, EXCLUDED.agent, EXCLUDED.started_at, EXCLUDED.seconds, EXCLUDED.channels,
             EXCLUDED.bytes, EXCLUDED.sha256, EXCLUDED.paused_seconds, EXCLUDED.path)
$$;
COMMENT ON FUNCTION crm.fold_recordings IS 'Recomputes crm.recordings of these calls.';

CREATE FUNCTION crm.flow_outcome(said text, flows bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN said IN ('flow_ended', 'voicemail', 'transferred_out', 'refused', 'failed', 'no_answer', 'busy',
                      'machine', 'invalid_number', 'dropped') THEN said
        WHEN flows > 0 THEN 'flow_ended'
        ELSE 'failed' END
$$;
COMMENT ON FUNCTION crm.flow_outcome IS 'How a call ended that never was in a queue.';

CREATE FUNCTION crm.fold_call_rows(ids uuid[]) RETURNS void LANGUAGE sql AS $$
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
                 coalesce(nullif(ended ->> 'flow_result', ''), flow_how,
                          CASE WHEN f.voicemail THEN 'voicemail' END), flows)) END,
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
COMMENT ON FUNCTION crm.fold_call_rows IS 'Recomputes crm.calls; the other folds of the same calls come first.';

CREATE FUNCTION crm.fold_calls(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.fold'));  -- two folds at once would not see each other's events
    PERFORM crm.fold_visits(ids);
    PERFORM crm.fold_offers(ids);
    PERFORM crm.fold_recordings(ids);
    PERFORM crm.fold_call_rows(ids);
END $$;
COMMENT ON FUNCTION crm.fold_calls IS 'Recomputes every row of these calls from all their events.';

CREATE FUNCTION crm.fold_agents(agents text[], first_id bigint, first_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.fold'));
    INSERT INTO crm.agent_states (event_id, agent, wish, reason, work, call_id, at, since)
    SELECT e.event_id, e.agent, e.data ->> 'wish', nullif(e.data ->> 'reason', ''), e.data ->> 'work',
        CASE WHEN e.data ->> 'work' <> 'idle' THEN e.call_id END, e.at, least(e.at, now())
    FROM crm.events AS e
    WHERE e.type = 'agent.state_changed' AND e.agent = ANY (agents) AND e.event_id >= first_id AND e.at >= first_at
    ON CONFLICT DO NOTHING;
    UPDATE crm.agent_states AS s SET (since, until) = ROW (n.since, n.until)
    FROM (SELECT r.agent, r.event_id, r.since, lead(r.since) OVER (PARTITION BY r.agent ORDER BY r.event_id) AS until
          FROM (SELECT t.agent, t.event_id, max(t.since) OVER (PARTITION BY t.agent ORDER BY t.event_id) AS since
                FROM unnest(agents) AS a(agent)
                CROSS JOIN LATERAL (SELECT coalesce(max(b.event_id), first_id) AS id FROM crm.agent_states AS b
                                    WHERE b.agent = a.agent AND b.event_id < first_id) AS before
                JOIN crm.agent_states AS t ON t.agent = a.agent AND t.event_id >= before.id) AS r) AS n
    WHERE (s.agent, s.event_id) = (n.agent, n.event_id) AND (s.since, s.until) IS DISTINCT FROM (n.since, n.until);
END $$;
COMMENT ON FUNCTION crm.fold_agents IS
    'Recomputes the states of these agents from that event on. They follow each other as the events do, whatever their times:
a wish carries the server''s time, a fact the switch''s. `first_at`: no such event is earlier; older partitions are not read.';
