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

CREATE FUNCTION crm.fold_placed(ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE crm.calls AS c SET queue = e.queue FROM crm.events_of(ids) AS e
    WHERE e.call_id = c.call_id AND e.type = 'call.arrived' AND e.queue IS NOT NULL AND c.queue IS NULL;
END $$;
COMMENT ON FUNCTION crm.fold_placed IS 'A call that was placed for a queue is that queue''s, though nobody waited in it.';

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
    PERFORM crm.fold_placed(calls);
    PERFORM crm.fold_wishes(ids);
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
