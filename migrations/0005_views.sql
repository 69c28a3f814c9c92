-- For reading: names and meanings here do not change.

CREATE VIEW crm.v_calls AS
    SELECT call_id, story_id, direction, caller, caller_name, called, customer_id, flow, flow_version, queue, agent,
        started_at, queued_at, offered_at, connected_at, ended_at, wrapped_at, outcome, voicemail,
        hangup_side, hangup_cause, disposition, campaign, recordings, attributes
    FROM crm.calls;
COMMENT ON VIEW crm.v_calls IS
    'One row a call. Times, queue and agent are the first ones, except offered_at: the offer that was answered.';

CREATE VIEW crm.v_queue_visits AS
    SELECT call_id, seq, queue, entered_at, left_at, result, agent, priority, skills FROM crm.queue_visits;
COMMENT ON VIEW crm.v_queue_visits IS 'Each wait in a queue; results add up to visits.';

CREATE VIEW crm.v_offers AS
    SELECT call_id, visit_seq, queue, agent, offered_at, ended_at, result, decision FROM crm.offers;
COMMENT ON VIEW crm.v_offers IS 'Each time a call was proposed to an agent.';

CREATE VIEW crm.v_call_events AS
    SELECT event_id, call_id, seq, at, type, agent, queue, data FROM crm.events WHERE call_id IS NOT NULL;
COMMENT ON VIEW crm.v_call_events IS 'The whole story of every call; order by seq.';

CREATE VIEW crm.v_agent_states AS
    SELECT agent, wish, reason, work, call_id, since, until FROM crm.agent_states;
COMMENT ON VIEW crm.v_agent_states IS 'What each agent wanted and did, from when to when; until null: still.';

CREATE VIEW crm.v_attempts AS
    SELECT attempt_id, campaign, lead_id, number, call_id, dialed_at, answered_at, agent_connected_at, result,
        abandoned
    FROM crm.attempts;
COMMENT ON VIEW crm.v_attempts IS 'Each dial of a lead.';

CREATE VIEW crm.v_recordings AS
    SELECT recording_id, call_id, agent, started_at, seconds, channels, bytes, sha256, paused_seconds, path
    FROM crm.recordings;
COMMENT ON VIEW crm.v_recordings IS 'Each finished recording; bytes 0: it failed. path is relative to paths.recordings.';

CREATE FUNCTION crm.comment_views() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v record;
BEGIN  -- a view's column says what the table's column says
    FOR v IN
        SELECT c.oid AS view, c.relname AS name, a.attname AS col, col_description(t.oid, ta.attnum) AS said
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'crm'
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
        JOIN pg_class AS t ON t.relnamespace = n.oid
             AND t.relname = CASE c.relname WHEN 'v_call_events' THEN 'events' ELSE substr(c.relname, 3) END
        JOIN pg_attribute AS ta ON ta.attrelid = t.oid AND ta.attname = a.attname
        WHERE c.relkind = 'v'
    LOOP
        EXECUTE format('COMMENT ON COLUMN crm.%I.%I IS %L', v.name, v.col, v.said);
    END LOOP;
END $$;
COMMENT ON FUNCTION crm.comment_views IS 'Copies the comments of tables to the views of the same name.';
SELECT crm.comment_views();
