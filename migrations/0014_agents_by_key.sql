-- Of each agent only the states from that event on are read. One statement for all agents was planned as a reading of
-- the whole table: at 300,000 rows that took 60 ms, some ten times a second. Else as in 0004_fold.sql.

CREATE OR REPLACE FUNCTION crm.fold_agents(agents text[], first_id bigint, first_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one text;
    before bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.fold'));
    INSERT INTO crm.agent_states (event_id, agent, wish, reason, work, call_id, at, since)
    SELECT e.event_id, e.agent, e.data ->> 'wish', nullif(e.data ->> 'reason', ''), e.data ->> 'work',
        CASE WHEN e.data ->> 'work' <> 'idle' THEN e.call_id END, e.at, least(e.at, now())
    FROM crm.events AS e
    WHERE e.type = 'agent.state_changed' AND e.agent = ANY (agents) AND e.event_id >= first_id AND e.at >= first_at
    ON CONFLICT DO NOTHING;
    FOREACH one IN ARRAY agents LOOP
        before := coalesce((SELECT max(b.event_id) FROM crm.agent_states AS b
                            WHERE b.agent = one AND b.event_id < first_id), first_id);
        UPDATE crm.agent_states AS s SET (since, until) = ROW (n.since, n.until)
        FROM (SELECT r.event_id, r.since, lead(r.since) OVER (ORDER BY r.event_id) AS until
              FROM (SELECT t.event_id, max(t.since) OVER (ORDER BY t.event_id) AS since
                    FROM crm.agent_states AS t WHERE t.agent = one AND t.event_id >= before) AS r) AS n
        WHERE s.agent = one AND s.event_id >= before AND s.event_id = n.event_id
          AND (s.since, s.until) IS DISTINCT FROM (n.since, n.until);
    END LOOP;
END $$;
