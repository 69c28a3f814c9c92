-- Callbacks that keep their place: what the server must know of them after a restart, how they ended, and whom it may
-- not call. A row is folded from the callback.* events of the call in which it was asked for, whatever their order.

ALTER TABLE crm.callbacks
    ADD COLUMN since          timestamptz,
    ADD COLUMN priority       integer NOT NULL DEFAULT 0,
    ADD COLUMN skills         jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN language       text,
    ADD COLUMN tries          integer NOT NULL DEFAULT 0,
    ADD COLUMN not_before     timestamptz,
    ADD COLUMN last_result    text,
    ADD COLUMN ended_at       timestamptz,
    ADD COLUMN ended_by       text,
    ADD COLUMN served_call_id uuid,
    ADD COLUMN asked_by       text,
    ADD COLUMN cancelled_at   timestamptz,
    ADD COLUMN cancelled_by   text;
DROP INDEX crm.callbacks_open;
CREATE INDEX callbacks_open ON crm.callbacks (queue, requested_at) WHERE state IN ('open', 'dialing');
CREATE INDEX callbacks_requested ON crm.callbacks (requested_at DESC, callback_id DESC);
CREATE INDEX callbacks_number ON crm.callbacks (number, requested_at DESC);
COMMENT ON COLUMN crm.callbacks.call_id IS 'The call in which it was asked for; of one that was not asked for in a call: its own id.';
COMMENT ON COLUMN crm.callbacks.state IS 'open, dialing, done, expired, cancelled, merged, barred, failed. What somebody sets here stays, until the server acts on it.';
COMMENT ON COLUMN crm.callbacks.since IS 'Since when the customer waits: his place among the callers of the queue.';
COMMENT ON COLUMN crm.callbacks.priority IS 'Of the caller who asked for it; higher first.';
COMMENT ON COLUMN crm.callbacks.skills IS 'What he asked for besides what the queue needs.';
COMMENT ON COLUMN crm.callbacks.language IS 'What he spoke.';
COMMENT ON COLUMN crm.callbacks.tries IS 'How often his phone was rung in vain.';
COMMENT ON COLUMN crm.callbacks.not_before IS 'When it may be rung again; null: at any time.';
COMMENT ON COLUMN crm.callbacks.last_result IS 'How the last call ended that was made for it: busy, no_answer, invalid_number, fail, no_agent (no try), ...; null: none was.';
COMMENT ON COLUMN crm.callbacks.ended_at IS 'When it was over; null: it is open.';
COMMENT ON COLUMN crm.callbacks.ended_by IS 'Who ended it: a login name, caller (he called again), system.';
COMMENT ON COLUMN crm.callbacks.served_call_id IS 'The call in which the customer was served.';
COMMENT ON COLUMN crm.callbacks.asked_by IS 'Who entered it by hand; null: the caller himself.';
COMMENT ON COLUMN crm.callbacks.cancelled_at IS 'When it was cancelled at the command line; null: it was not.';
COMMENT ON COLUMN crm.callbacks.cancelled_by IS 'Who did so.';
UPDATE crm.callbacks SET since = requested_at;

CREATE TABLE crm.do_not_call (
    number text PRIMARY KEY CHECK (number ~ '^\+[0-9]{4,15}$'),
    since  timestamptz NOT NULL DEFAULT now(),
    by     text NOT NULL DEFAULT '',
    note   text NOT NULL DEFAULT ''
);
COMMENT ON TABLE  crm.do_not_call IS 'Numbers that the server calls no more.';
COMMENT ON COLUMN crm.do_not_call.number IS 'E.164.';
COMMENT ON COLUMN crm.do_not_call.since IS 'From when on.';
COMMENT ON COLUMN crm.do_not_call.by IS 'Who said so: login name, or the operating system user of the command line.';
COMMENT ON COLUMN crm.do_not_call.note IS 'Why.';

CREATE FUNCTION crm.tell_callbacks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('crm_callbacks', '');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION crm.tell_callbacks IS 'Tells the running servers to read the open callbacks again.';
CREATE TRIGGER tell_callbacks AFTER INSERT OR UPDATE OR DELETE ON crm.do_not_call
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_callbacks();
CREATE TRIGGER tell_new_callback AFTER INSERT ON crm.callbacks
    FOR EACH ROW EXECUTE FUNCTION crm.tell_callbacks();
CREATE TRIGGER tell_callback AFTER UPDATE ON crm.callbacks  -- by hand; what a server does itself it knows
    FOR EACH ROW WHEN (NEW.cancelled_at IS DISTINCT FROM OLD.cancelled_at
                       OR (OLD.state IN ('open', 'dialing') AND NEW.state NOT IN ('open', 'dialing')
                           AND NEW.ended_at IS NULL))
    EXECUTE FUNCTION crm.tell_callbacks();

CREATE FUNCTION crm.fold_callbacks(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.callbacks AS b
        (callback_id, call_id, queue, number, entered, requested_at, customer_id, since, priority, skills, language)
    SELECT md5(e.call_id || ':' || e.seq)::uuid, e.call_id, e.queue, nullif(e.data ->> 'number', ''),
        e.data ->> 'entered', e.at, c.customer_id, coalesce(crm.moment(e.data -> 'since'), e.at),
        coalesce(crm.int(e.data -> 'priority'), 0), coalesce(nullif(e.data -> 'skills', 'null'), '{}'),
        nullif(e.data ->> 'language', '')
    FROM crm.events_of(ids) AS e LEFT JOIN crm.calls AS c ON c.call_id = e.call_id
    WHERE e.type = 'callback.requested'
    ON CONFLICT (callback_id) DO UPDATE SET
        (queue, number, entered, requested_at, customer_id, since, priority, skills, language) =
        ROW (EXCLUDED.queue, EXCLUDED.number, EXCLUDED.entered, EXCLUDED.requested_at,
             coalesce(EXCLUDED.customer_id, b.customer_id), EXCLUDED.since, EXCLUDED.priority, EXCLUDED.skills,
             EXCLUDED.language);
    WITH e AS MATERIALIZED (
        SELECT *, crm.id(data ->> 'callback') AS callback, coalesce(data ->> 'to', '') AS made
        FROM crm.events_of(ids)
        WHERE type IN ('callback.dialed', 'callback.failed', 'callback.moved', 'callback.ended')
    ), tried AS (
        SELECT callback,
            count(DISTINCT made) FILTER (WHERE type = 'callback.failed' AND data ->> 'result' <> 'no_agent')::integer
                AS tries,
            (array_agg(data ->> 'result' ORDER BY at DESC, seq DESC) FILTER (WHERE type = 'callback.failed'))[1]
                AS last_result,
            (array_agg(crm.moment(data -> 'not_before') ORDER BY at DESC, seq DESC)
                FILTER (WHERE type = 'callback.failed'))[1] AS not_before,
            (array_agg(data ORDER BY at DESC, seq DESC) FILTER (WHERE type = 'callback.moved'))[1] AS moved,
            coalesce(array_agg(made) FILTER (WHERE type = 'callback.dialed'), '{}')
                <@ coalesce(array_agg(made) FILTER (WHERE type = 'callback.failed'), '{}') AS idle
        FROM e GROUP BY callback
    ), over AS (  -- who was served was served, whatever else was reported
        SELECT DISTINCT ON (callback) * FROM e WHERE type = 'callback.ended'
        ORDER BY callback, data ->> 'state' <> 'done', at, seq
    )
    UPDATE crm.callbacks AS b SET
        (state, tries, last_result, not_before, since, priority, ended_at, ended_by, served_call_id) =
        ROW (CASE WHEN over.callback IS NOT NULL THEN over.data ->> 'state'
                  WHEN b.cancelled_at IS NOT NULL THEN 'cancelled'
                  WHEN tried.idle THEN 'open' ELSE 'dialing' END,
             tried.tries, tried.last_result, tried.not_before,
             coalesce(crm.moment(tried.moved -> 'since'), b.since),
             coalesce(crm.int(tried.moved -> 'priority'), b.priority),
             coalesce(over.at, b.cancelled_at), coalesce(nullif(over.data ->> 'by', ''), b.cancelled_by),
             CASE WHEN over.data ->> 'state' IN ('done', 'merged') THEN crm.id(over.data ->> 'to') END)
    FROM tried LEFT JOIN over ON over.callback = tried.callback
    WHERE b.callback_id = tried.callback;
END $$;
COMMENT ON FUNCTION crm.fold_callbacks IS
    'Recomputes crm.callbacks of these calls; the fold of the calls themselves comes first. The events after the call was
closed have no order of their own: a call made for the customer is under way as long as it is not told how it ended.';

CREATE OR REPLACE FUNCTION crm.fold_wishes(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM crm.fold_callbacks(ids);
    INSERT INTO crm.survey_answers (call_id, seq, survey, question, answer, agent, at)
    SELECT call_id, seq, data ->> 'survey', data ->> 'question', data ->> 'answer', agent, at
    FROM crm.events_of(ids) WHERE type = 'survey.answered'
    ON CONFLICT (call_id, seq) DO UPDATE SET
        (survey, question, answer, agent, at) =
        ROW (EXCLUDED.survey, EXCLUDED.question, EXCLUDED.answer, EXCLUDED.agent, EXCLUDED.at);
    INSERT INTO crm.voicemails (call_id, seq, box, recording_id, file, seconds, at)
    SELECT call_id, seq, data ->> 'box', nullif(data ->> 'recording_id', ''), nullif(data ->> 'file', ''),
        crm.num(data -> 'seconds'), at
    FROM crm.events_of(ids) WHERE type = 'voicemail.left'
    ON CONFLICT (call_id, seq) DO UPDATE SET
        (box, recording_id, file, seconds, at) =
        ROW (EXCLUDED.box, EXCLUDED.recording_id, EXCLUDED.file, EXCLUDED.seconds, EXCLUDED.at);
END $$;

-- A callback that was entered by hand has no call: its events make no row of one.
CREATE OR REPLACE FUNCTION crm.fold_calls(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    calls uuid[] := ARRAY(SELECT id FROM unnest(ids) AS id
                          WHERE NOT EXISTS (SELECT FROM crm.callbacks AS b
                                            WHERE b.callback_id = id AND b.asked_by IS NOT NULL));
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.fold'));  -- two folds at once would not see each other's events
    PERFORM crm.fold_visits(calls);
    PERFORM crm.fold_offers(calls);
    PERFORM crm.fold_recordings(calls);
    PERFORM crm.fold_call_rows(calls);
    PERFORM crm.fold_wishes(ids);
END $$;

-- A call that was placed for a queue is that queue's, though nobody waited in it. Else as in 0010_voicemail_outcome.sql.
CREATE OR REPLACE FUNCTION crm.fold_call_rows(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
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
            (array_agg(queue ORDER BY seq) FILTER (WHERE type IN ('call.queued', 'call.arrived') AND queue IS NOT NULL))[1]
                AS queue,
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
             EXCLUDED.attributes, EXCLUDED.finished);
END $$;
CREATE OR REPLACE VIEW crm.v_callbacks AS
    SELECT callback_id, call_id, queue, number, entered, requested_at, state, customer_id, since, priority, skills,
        language, tries, not_before, last_result, ended_at, ended_by, served_call_id, asked_by
    FROM crm.callbacks;
SELECT crm.comment_views();
DO $$
BEGIN
    IF to_regrole('cti_lookup') IS NOT NULL THEN
        GRANT SELECT ON crm.do_not_call TO cti_lookup;
    END IF;
END $$;
