-- Every query Python runs. `-- name:` begins one, the comment says what it is for, $n are its arguments.
-- Times come in as seconds since the epoch (to_timestamp) unless said otherwise.

-- name: journal_position
-- How far a journal is stored; no row: nothing of it.
SELECT position FROM crm.journal_cursor WHERE journal = $1

-- name: journal_move
-- First statement of a batch's transaction: the cursor moves with the batch, from $3 to $2. No row: it was not at $3.
INSERT INTO crm.journal_cursor AS c (journal, position) VALUES ($1, $2)
ON CONFLICT (journal) DO UPDATE SET position = EXCLUDED.position WHERE c.position = $3
RETURNING position

-- name: lock_briefly
-- For the rest of the transaction: who does not get a lock at once goes without.
SET LOCAL lock_timeout = '200ms'

-- name: make_event_partitions
SELECT crm.make_event_partitions($1::date[])

-- name: fold_calls
SELECT crm.fold_calls($1::uuid[])

-- name: fold_agents
-- $3: a timestamp.
SELECT crm.fold_agents($1::text[], $2, $3)

-- name: all_calls
-- For `cti db refold`: ids after $1, in order.
SELECT DISTINCT call_id FROM crm.events WHERE call_id > $1 ORDER BY call_id LIMIT 500

-- name: all_state_agents
SELECT array_agg(DISTINCT agent) AS agents FROM crm.events WHERE type = 'agent.state_changed'

-- ---------------------------------------------------------------- start

-- name: take_epoch
UPDATE crm.leader SET epoch = epoch + 1, taken_at = now() RETURNING epoch

-- name: last_known
-- When the switch last told something of a call: connects and ends are its facts alone. Of the newest calls; where it
-- told nothing of any of them, when the first of them began. A time from the future is a wrong clock's.
WITH newest AS (SELECT * FROM crm.calls ORDER BY started_at DESC, call_id DESC LIMIT 20000),
told AS (SELECT started_at, greatest(CASE WHEN connected_at <= now() THEN connected_at END,
                                     CASE WHEN ended_at <= now() THEN ended_at END) AS at FROM newest)
SELECT extract(epoch FROM coalesce(max(at), min(started_at)))::float8 FROM told

-- name: over_lately
-- How those of the newest calls began and ended that ended since $1.
WITH newest AS (SELECT * FROM crm.calls ORDER BY started_at DESC, call_id DESC LIMIT 20000)
SELECT e.call_id, e.seq, extract(epoch FROM e.at)::float8 AS at, e.type, e.agent, e.queue, e.data
FROM crm.events_of((SELECT array_agg(call_id) FROM newest WHERE ended_at >= to_timestamp($1))) AS e
WHERE e.type IN ('call.arrived', 'call.ended')
ORDER BY e.call_id, e.seq

-- name: unfinished_events
-- All events of calls of which something is still expected. A call that ended is given ten minutes, or as long as an
-- agent is busy with it.
WITH open AS (
    SELECT call_id FROM crm.calls
    WHERE NOT finished AND (ended_at IS NULL OR ended_at > now() - interval '10 minutes')
    UNION
    SELECT s.call_id FROM crm.users AS u
    CROSS JOIN LATERAL (SELECT * FROM crm.agent_states AS a WHERE a.agent = u.name
                        ORDER BY a.event_id DESC LIMIT 1) AS s
    WHERE s.call_id IS NOT NULL
), ids AS (SELECT array_agg(call_id) AS ids FROM open)
SELECT e.call_id, e.seq, extract(epoch FROM e.at)::float8 AS at, e.type, e.agent, e.queue, e.data
FROM ids, crm.events_of(ids.ids) AS e
WHERE ids.ids IS NOT NULL
ORDER BY e.call_id, e.seq

-- name: last_agent_events
-- The event that began the present state of every user who is an agent.
SELECT e.call_id, e.seq, extract(epoch FROM e.at)::float8 AS at, e.type, e.agent, e.queue, e.data
FROM crm.users AS u
CROSS JOIN LATERAL (SELECT * FROM crm.agent_states AS a WHERE a.agent = u.name
                    ORDER BY a.event_id DESC LIMIT 1) AS s
JOIN crm.events AS e ON (e.event_id, e.at) = (s.event_id, s.at)
WHERE u.disabled_at IS NULL
ORDER BY e.event_id

-- name: day_visits
-- Sums of the visits that ended since $1, by queue and result, but for those of the calls $2. $3: {queue: T}, $4: T of
-- the others. A visit that began more than a day before is none of a person.
SELECT coalesce(queue, '') AS queue, coalesce(result, '') AS result, count(*) AS visits,
    sum(wait)::float8 AS seconds, max(wait)::float8 AS longest,
    count(*) FILTER (WHERE wait <= coalesce(($3::jsonb ->> queue)::float8, $4)) AS within
FROM (SELECT *, greatest(extract(epoch FROM left_at - entered_at), 0) AS wait FROM crm.queue_visits
      WHERE entered_at >= to_timestamp($1) - interval '1 day' AND left_at >= to_timestamp($1)) AS v
WHERE NOT EXISTS (SELECT FROM unnest($2::uuid[]) AS other(id) WHERE other.id = v.call_id)
GROUP BY 1, 2

-- name: day_talks
-- Sums of the offers and conversations since $1, by queue and agent, but for those of the calls $2.
SELECT coalesce(queue, '') AS queue, coalesce(agent, '') AS agent,
    count(*) FILTER (WHERE result = 'answered' AND ended_at >= to_timestamp($1)) AS calls,
    count(*) FILTER (WHERE result = 'missed' AND ended_at >= to_timestamp($1)) AS missed,
    count(*) FILTER (WHERE talked) AS talks,
    coalesce(sum(extract(epoch FROM disconnected_at - ended_at)) FILTER (WHERE talked), 0)::float8 AS talk_seconds,
    coalesce(sum(extract(epoch FROM wrapped_at - disconnected_at))
             FILTER (WHERE result = 'answered' AND wrapped_at >= to_timestamp($1)), 0)::float8 AS wrap_seconds
FROM (SELECT *, result = 'answered' AND disconnected_at >= to_timestamp($1) AS talked FROM crm.offers
      WHERE offered_at >= to_timestamp($1) - interval '1 day') AS o
WHERE NOT EXISTS (SELECT FROM unnest($2::uuid[]) AS other(id) WHERE other.id = o.call_id)
GROUP BY 1, 2

-- name: left_lately
-- Who left a queue in the last day before he was served, the last time for each caller and queue, with the place he had:
-- oldest first. Who waits there again has used it.
SELECT caller, queue, extract(epoch FROM left_at)::float8 AS left_at, extract(epoch FROM least(entered_at, (
        SELECT min(crm.moment(e.data -> 'since')) FROM crm.events AS e
        WHERE e.call_id = last.call_id AND e.at > now() - interval '2 days'
            AND e.type IN ('call.queued', 'call.place_kept') AND crm.int(e.data -> 'visit') = last.seq
    )))::float8 AS since
FROM (SELECT DISTINCT ON (c.caller, v.queue) c.caller, v.*
      FROM crm.queue_visits AS v JOIN crm.calls AS c USING (call_id)
      WHERE v.entered_at > now() - interval '1 day' AND c.caller <> ''
      ORDER BY c.caller, v.queue, v.left_at DESC NULLS FIRST) AS last
WHERE result IN ('abandoned', 'short_abandon')
ORDER BY left_at

-- name: handled_lately
-- How many calls of each queue each agent dealt with in the last 30 days, and how long it took him, with wrap-up.
SELECT agent, queue, count(*) AS calls,
    sum(extract(epoch FROM coalesce(wrapped_at, disconnected_at) - ended_at))::float8 AS seconds
FROM crm.offers
WHERE offered_at > now() - interval '30 days' AND result = 'answered' AND disconnected_at >= ended_at
    AND agent <> '' AND queue <> ''
GROUP BY agent, queue
ORDER BY agent, queue

-- ---------------------------------------------------------------- people

-- name: agents
-- Everybody who may take calls, with skills.
SELECT u.name, u.display_name, u.station, u.role,
    coalesce(jsonb_object_agg(s.skill, s.level) FILTER (WHERE s.skill IS NOT NULL), '{}') AS skills
FROM crm.users AS u LEFT JOIN crm.agent_skills AS s USING (user_id)
WHERE u.disabled_at IS NULL AND (u.role = 'agent' OR u.station IS NOT NULL OR s.skill IS NOT NULL)
GROUP BY u.user_id ORDER BY u.name

-- name: user_names
SELECT name, display_name FROM crm.users WHERE display_name <> ''

-- name: stations
SELECT number, secret FROM crm.stations ORDER BY number

-- name: station
SELECT number, secret FROM crm.stations WHERE number = $1

-- name: add_station
-- Nothing happens when it is there already.
INSERT INTO crm.stations (number, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: set_secret
UPDATE crm.stations SET secret = $2 WHERE number = $1 RETURNING number

-- name: users
SELECT u.name, u.display_name, u.role, u.language, u.station, u.disabled_at IS NOT NULL AS disabled,
    coalesce(jsonb_object_agg(s.skill, s.level) FILTER (WHERE s.skill IS NOT NULL), '{}') AS skills
FROM crm.users AS u LEFT JOIN crm.agent_skills AS s USING (user_id)
GROUP BY u.user_id ORDER BY u.name

-- name: add_user
INSERT INTO crm.users (name, display_name, role, password_hash, language, station)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING user_id

-- name: set_password
-- Logins made with the old password end.
WITH u AS (UPDATE crm.users SET password_hash = $2 WHERE lower(name) = lower($1) RETURNING user_id),
gone AS (DELETE FROM crm.sessions WHERE user_id IN (SELECT user_id FROM u))
SELECT user_id FROM u

-- name: disable_user
WITH u AS (UPDATE crm.users SET disabled_at = coalesce(disabled_at, now())
           WHERE lower(name) = lower($1) RETURNING user_id),
gone AS (DELETE FROM crm.sessions WHERE user_id IN (SELECT user_id FROM u))
SELECT user_id FROM u

-- name: set_skill
INSERT INTO crm.agent_skills (user_id, skill, level)
SELECT user_id, $2, $3 FROM crm.users WHERE lower(name) = lower($1)
ON CONFLICT (user_id, skill) DO UPDATE SET level = EXCLUDED.level
RETURNING user_id

-- name: drop_skill
DELETE FROM crm.agent_skills
WHERE skill = $2 AND user_id = (SELECT user_id FROM crm.users WHERE lower(name) = lower($1))

-- name: user_by_name
SELECT user_id::text, name, display_name, role, coalesce(password_hash, '') AS password_hash,
    disabled_at IS NOT NULL AS disabled, language, station
FROM crm.users WHERE lower(name) = lower($1)

-- name: session_create
-- Expired logins of the same user go.
WITH gone AS (DELETE FROM crm.sessions WHERE user_id = $1 AND expires_at < now())
INSERT INTO crm.sessions (user_id, token_sha256, ip, expires_at) VALUES ($1, $2, $3, to_timestamp($4))

-- name: session_user
SELECT u.user_id::text, u.name, u.display_name, u.role, coalesce(u.password_hash, '') AS password_hash,
    false AS disabled, u.language, u.station
FROM crm.sessions AS s JOIN crm.users AS u USING (user_id)
WHERE s.token_sha256 = $1 AND s.expires_at > now() AND u.disabled_at IS NULL

-- name: session_touch
UPDATE crm.sessions SET expires_at = least(to_timestamp($2), created_at + make_interval(secs => $3))
WHERE token_sha256 = $1 AND expires_at > now()

-- name: session_delete
DELETE FROM crm.sessions WHERE token_sha256 = $1

-- name: token_create
INSERT INTO crm.api_tokens (user_id, token_sha256, expires_at)
SELECT user_id, $2, now() + make_interval(days => $3)
FROM crm.users WHERE lower(name) = lower($1) AND disabled_at IS NULL
RETURNING user_id

-- name: tokens_revoke
WITH u AS (SELECT user_id FROM crm.users WHERE lower(name) = lower($1)),
gone AS (DELETE FROM crm.api_tokens WHERE user_id IN (SELECT user_id FROM u))
SELECT user_id FROM u

-- name: token_user
SELECT u.user_id::text, u.name, u.display_name, u.role, coalesce(u.password_hash, '') AS password_hash,
    false AS disabled, u.language, u.station
FROM crm.api_tokens AS t JOIN crm.users AS u USING (user_id)
WHERE t.token_sha256 = $1 AND (t.expires_at IS NULL OR t.expires_at > now()) AND u.disabled_at IS NULL

-- name: set_language
UPDATE crm.users SET language = $2 WHERE user_id = $1

-- name: audit
INSERT INTO crm.audit (actor, action, object, detail) VALUES ($1, $2, $3, $4)

-- ---------------------------------------------------------------- customers

-- name: find_customers
-- Everybody who has this number, for the screen-pop.
SELECT c.customer_id, c.display_name, c.display_name AS name, c.tier, c.language, c.email, c.company, c.attributes,
    (SELECT array_agg(n.number ORDER BY n.number) FROM crm.customer_numbers AS n
     WHERE n.customer_id = c.customer_id) AS numbers
FROM crm.customer_numbers AS m JOIN crm.customers AS c USING (customer_id)
WHERE m.number = $1
ORDER BY c.customer_id LIMIT 20

-- name: find_customer
-- The same of the customer with that id.
SELECT c.customer_id, c.display_name, c.display_name AS name, c.tier, c.language, c.email, c.company, c.attributes,
    coalesce((SELECT array_agg(n.number ORDER BY n.number) FROM crm.customer_numbers AS n
              WHERE n.customer_id = c.customer_id), '{}') AS numbers
FROM crm.customers AS c WHERE c.customer_id = $1

-- name: caller
-- For the screen-pop, in one answer because a caller waits for it: everybody who has the number $1, or the customer $2;
-- the last 5 calls with that number or one of them, with what the agent noted last; their open cases.
WITH who AS (
    SELECT c.customer_id, c.display_name, c.display_name AS name, c.tier, c.language, c.email, c.company, c.attributes,
        ARRAY(SELECT n.number FROM crm.customer_numbers AS n WHERE n.customer_id = c.customer_id ORDER BY n.number)
            AS numbers
    FROM crm.customers AS c
    WHERE c.customer_id = ANY (CASE WHEN $2::bigint IS NOT NULL THEN ARRAY[$2::bigint]
                               ELSE ARRAY(SELECT customer_id FROM crm.customer_numbers WHERE number = $1) END)
    ORDER BY c.customer_id LIMIT 20),
recent AS (
    SELECT call_id, direction, caller, called, queue, agent, started_at, connected_at, ended_at, outcome, disposition
    FROM ((SELECT * FROM crm.calls WHERE caller = $1 ORDER BY started_at DESC LIMIT 6)
          UNION (SELECT * FROM crm.calls WHERE called = $1 AND direction = 'outbound'
                 ORDER BY started_at DESC LIMIT 6)
          UNION (SELECT k.* FROM who
                 CROSS JOIN LATERAL (SELECT * FROM crm.calls WHERE customer_id = who.customer_id
                                     ORDER BY started_at DESC LIMIT 6) AS k)) AS c
    WHERE ended_at IS NOT NULL
    ORDER BY started_at DESC LIMIT 5),
noted AS (
    SELECT DISTINCT ON (call_id) call_id, data ->> 'note' AS note
    FROM crm.events_of((SELECT array_agg(call_id) FROM recent)) WHERE type = 'call.disposition_set'
    ORDER BY call_id, seq DESC),
past AS (
    SELECT r.*, u.display_name AS agent_name, n.note
    FROM recent AS r LEFT JOIN noted AS n USING (call_id) LEFT JOIN crm.users AS u ON u.name = r.agent),
open AS (
    SELECT c.case_id, c.customer_id, c.title, c.status, c.owner, u.display_name AS owner_name, c.created_at,
        c.updated_at
    FROM crm.cases AS c LEFT JOIN crm.users AS u ON u.name = c.owner
    WHERE c.customer_id IN (SELECT customer_id FROM who) AND c.status = 'open'
    ORDER BY c.created_at DESC LIMIT 20)
SELECT coalesce((SELECT jsonb_agg(w ORDER BY w.customer_id) FROM who AS w), '[]') AS customers,
    coalesce((SELECT jsonb_agg(p ORDER BY p.started_at DESC) FROM past AS p), '[]') AS history,
    coalesce((SELECT jsonb_agg(o ORDER BY o.created_at DESC) FROM open AS o), '[]') AS cases

-- name: list_customers
-- $1: a LIKE pattern or null; $2, $3: name and id of the last row of the page before.
SELECT c.customer_id, c.display_name AS name, c.tier, c.language, c.email, c.company,
    coalesce((SELECT array_agg(n.number ORDER BY n.number) FROM crm.customer_numbers AS n
              WHERE n.customer_id = c.customer_id), '{}') AS numbers
FROM crm.customers AS c
WHERE ($1::text IS NULL OR c.display_name ILIKE $1 OR c.email ILIKE $1 OR c.company ILIKE $1
       OR EXISTS (SELECT FROM crm.customer_numbers AS n WHERE n.customer_id = c.customer_id
                  AND (n.number LIKE $1 OR n.entered LIKE $1)))
  AND ($2::text IS NULL OR (lower(c.display_name), c.customer_id) > ($2, $3))
ORDER BY lower(c.display_name), c.customer_id LIMIT $4

-- name: get_customer
SELECT customer_id, display_name AS name, tier, language, email, company, attributes, created_at, updated_at
FROM crm.customers WHERE customer_id = $1

-- name: customer_numbers
SELECT number, entered, label FROM crm.customer_numbers WHERE customer_id = $1 ORDER BY number

-- name: customer_notes
SELECT note_id, call_id, case_id, author, body, created_at FROM crm.notes
WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 50

-- name: customer_cases
SELECT case_id, title, description, status, owner, created_at, updated_at FROM crm.cases
WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 50

-- name: add_customer
INSERT INTO crm.customers (display_name, tier, language, email, company, attributes)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING customer_id

-- name: add_number
INSERT INTO crm.customer_numbers (customer_id, number, entered, label) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING

-- name: add_case
INSERT INTO crm.cases (customer_id, title, description, status, owner, created_at)
VALUES ($1, $2, $3, $4, $5, coalesce(to_timestamp($6), now())) RETURNING case_id

-- name: add_note
INSERT INTO crm.notes (customer_id, call_id, author, body) VALUES ($1, $2::uuid, $3, $4) RETURNING note_id

-- name: pin_try
-- Counts a try before it is judged, so that many at once are not free; nothing when there is no PIN or it is locked.
-- $2: so many wrong ones in a row lock it, $3: for so many seconds.
UPDATE crm.customer_pins SET
    failed = CASE WHEN locked_until IS NULL THEN failed + 1 ELSE 1 END,
    locked_until = CASE WHEN locked_until IS NULL AND failed + 1 >= $2 THEN now() + make_interval(secs => $3) END
WHERE customer_id = $1 AND (locked_until IS NULL OR locked_until <= now())
RETURNING pin_hash, failed, locked_until

-- name: pin_lock
SELECT locked_until FROM crm.customer_pins WHERE customer_id = $1

-- name: pin_right
UPDATE crm.customer_pins SET failed = 0, locked_until = NULL WHERE customer_id = $1

-- name: set_pin
INSERT INTO crm.customer_pins (customer_id, pin_hash)
SELECT customer_id, $2 FROM crm.customers WHERE customer_id = $1
ON CONFLICT (customer_id) DO UPDATE SET pin_hash = EXCLUDED.pin_hash, failed = 0, locked_until = NULL, changed_at = now()
RETURNING customer_id

-- name: drop_pin
DELETE FROM crm.customer_pins WHERE customer_id = $1 RETURNING customer_id

-- name: count_customers
SELECT count(*) FROM crm.customers

-- ---------------------------------------------------------------- calls

-- name: list_calls
-- Newest first; $6, $7: started_at (a timestamp) and id of the last row of the page before.
SELECT v.*, c.display_name AS customer_name
FROM crm.v_calls AS v LEFT JOIN crm.customers AS c USING (customer_id)
WHERE ($1::float8 IS NULL OR started_at >= to_timestamp($1))
  AND ($2::float8 IS NULL OR started_at < to_timestamp($2))
  AND ($3::text IS NULL OR agent = $3)
  AND ($4::text IS NULL OR queue = $4)
  AND ($5::text IS NULL OR outcome = $5)
  AND ($6::timestamptz IS NULL OR (started_at, call_id) < ($6, $7::uuid))
ORDER BY started_at DESC, call_id DESC LIMIT $8

-- name: get_call
SELECT * FROM crm.v_calls WHERE call_id = $1

-- name: calls_like
-- At most two: enough to see that a beginning is not unique.
SELECT call_id FROM crm.calls WHERE call_id::text LIKE $1 ORDER BY started_at DESC LIMIT 2

-- name: call_events
SELECT event_id, seq, at, type, agent, queue, data FROM crm.events_of(ARRAY[$1::uuid]) ORDER BY seq

-- name: call_visits
SELECT seq, queue, entered_at, left_at, result, agent, priority, skills
FROM crm.v_queue_visits WHERE call_id = $1 ORDER BY seq

-- name: call_offers
SELECT visit_seq, queue, agent, offered_at, ended_at, result, decision
FROM crm.v_offers WHERE call_id = $1 ORDER BY offered_at

-- name: call_recordings
SELECT recording_id, agent, started_at, seconds, channels, bytes, sha256, paused_seconds, path
FROM crm.v_recordings WHERE call_id = $1 ORDER BY started_at

-- name: new_events
-- For `cti call tail`: what was stored after $1.
SELECT event_id, call_id, at, type, agent, queue, data FROM crm.v_call_events
WHERE event_id > $1 AND at > now() - interval '1 day' ORDER BY event_id LIMIT 1000

-- name: last_event
SELECT coalesce(max(event_id), 0) FROM crm.events WHERE at > now() - interval '1 day'

-- name: list_recordings
-- Newest first; $2, $3: started_at (a timestamp) and id of the last row of the page before.
SELECT r.*, c.caller, c.called, c.queue, c.customer_id
FROM crm.v_recordings AS r LEFT JOIN crm.calls AS c USING (call_id)
WHERE ($1::text IS NULL OR r.agent = $1)
  AND ($2::timestamptz IS NULL OR (r.started_at, r.recording_id) < ($2, $3::text))
ORDER BY r.started_at DESC, r.recording_id DESC LIMIT $4

-- name: get_recording
SELECT * FROM crm.v_recordings WHERE recording_id = $1

-- ---------------------------------------------------------------- flows

-- name: lock_flows
-- One change of what is live at a time; who reads does not wait.
LOCK TABLE crm.flow_versions IN SHARE ROW EXCLUSIVE MODE

-- name: serving_flows
-- The live version and the one that has a share.
SELECT version, share, live, published_at, published_by, note FROM crm.flow_versions WHERE live OR share > 0

-- name: same_flows
-- The version that has these files: the live one, the canary, else the last one that had them.
SELECT version, rolled_back_at IS NOT NULL AS rolled_back FROM crm.flow_versions WHERE files = $1
ORDER BY live DESC, share DESC, version DESC LIMIT 1

-- name: add_flows
INSERT INTO crm.flow_versions (files, published_by, note) VALUES ($1, $2, $3) RETURNING version

-- name: end_share
-- $1: because it is withdrawn, not because another one takes its place.
UPDATE crm.flow_versions
SET share = 0, rolled_back_at = CASE WHEN $1::boolean THEN now() ELSE rolled_back_at END WHERE share > 0

-- name: give_share
UPDATE crm.flow_versions SET share = $2, rolled_back_at = NULL WHERE version = $1

-- name: end_live
-- $1: because an earlier one replaces it.
UPDATE crm.flow_versions
SET live = false, rolled_back_at = CASE WHEN $1::boolean THEN now() ELSE rolled_back_at END WHERE live

-- name: make_live
UPDATE crm.flow_versions SET live = true, share = 0, live_at = now(), rolled_back_at = NULL WHERE version = $1

-- name: live_before
-- Which version a rollback makes live: of those before the live one that nobody took back, the one live last.
SELECT version FROM crm.flow_versions
WHERE version < $1 AND live_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY live_at DESC, version DESC LIMIT 1

-- name: is_flows
SELECT version FROM crm.flow_versions WHERE version = $1

-- name: load_flows
SELECT files FROM crm.flow_versions WHERE version = $1

-- name: flow_history
-- `calls`: those that began in it.
SELECT v.version, v.published_at, v.published_by, v.note, v.live, v.share, v.live_at, v.rolled_back_at, c.calls
FROM (SELECT * FROM crm.flow_versions ORDER BY version DESC LIMIT $1) AS v,
    LATERAL (SELECT count(*) AS calls FROM crm.calls WHERE flow_version = v.version) AS c
ORDER BY v.version DESC

-- name: flow_nodes
-- $1: flow, $2, $3: period, $4: version or null. A row for each node (whole = 1) and each way out of it.
SELECT node, coalesce(outcome, '') AS outcome, coalesce(went_to, '') AS went_to, grouping(outcome) AS whole,
    max(verb) AS verb, count(*) AS visits, avg(seconds) AS mean,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
    percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS p90
FROM crm.flow_visits(to_timestamp($2::float8), to_timestamp($3::float8))
WHERE flow = $1 AND ($4::integer IS NULL OR version = $4)
GROUP BY GROUPING SETS ((node), (node, outcome, went_to))
ORDER BY node, visits DESC, outcome, went_to

-- name: flow_calls
-- $1, $2: period, $3: FLOW/NODE after which nothing comes but the end, $4: flow or null.
SELECT flow, version, count(*) AS calls,
    count(*) FILTER (WHERE result = 'contained') AS contained, count(*) FILTER (WHERE result = 'people') AS people,
    count(*) FILTER (WHERE result = 'dropped') AS dropped, count(*) FILTER (WHERE result = 'failed') AS failed,
    count(*) FILTER (WHERE result = 'running') AS running, avg(seconds) AS mean_seconds
FROM crm.flow_calls(to_timestamp($1::float8), to_timestamp($2::float8), $3::text[])
WHERE $4::text IS NULL OR flow = $4
GROUP BY flow, version ORDER BY flow, version DESC

-- name: flow_path
SELECT * FROM crm.flow_path($1::uuid)

-- ---------------------------------------------------------------- calendars

-- name: calendar_switches
-- Those that are not over.
SELECT calendar, state, until, by, at FROM crm.calendar_switches WHERE until > now() ORDER BY calendar

-- name: set_calendar_switch
-- $3: seconds since the epoch.
INSERT INTO crm.calendar_switches (calendar, state, until, by) VALUES ($1, $2, to_timestamp($3), $4)
ON CONFLICT (calendar) DO UPDATE SET state = EXCLUDED.state, until = EXCLUDED.until, by = EXCLUDED.by, at = now()

-- name: drop_calendar_switch
DELETE FROM crm.calendar_switches WHERE calendar = $1 RETURNING until > now() AS held

-- ---------------------------------------------------------------- callbacks

-- name: open_callbacks
-- All that are open or under way, and whether their number may not be called.
SELECT b.callback_id::text, b.call_id::text, coalesce(b.queue, '') AS queue, b.number,
    extract(epoch FROM b.since)::float8 AS since, b.priority, b.skills, coalesce(b.language, '') AS language,
    extract(epoch FROM b.requested_at)::float8 AS requested_at, b.tries,
    coalesce(extract(epoch FROM b.not_before)::float8, 0) AS not_before,
    EXISTS (SELECT FROM crm.do_not_call AS d WHERE d.number = b.number) AS barred, coalesce(c.called, '') AS ours
FROM crm.callbacks AS b LEFT JOIN crm.calls AS c USING (call_id)
WHERE b.state IN ('open', 'dialing') AND b.number IS NOT NULL
ORDER BY b.requested_at, b.callback_id

-- name: list_callbacks
-- Newest first; $1: states or null, $2: queues or null, $3: a LIKE pattern of number or customer or null; $4, $5:
-- requested_at (a timestamp) and id of the last row of the page before.
SELECT v.*, c.display_name AS customer_name
FROM crm.v_callbacks AS v LEFT JOIN crm.customers AS c USING (customer_id)
WHERE ($1::text[] IS NULL OR v.state = ANY ($1))
  AND ($2::text[] IS NULL OR v.queue = ANY ($2))
  AND ($3::text IS NULL OR v.number LIKE $3 OR v.entered LIKE $3 OR c.display_name ILIKE $3)
  AND ($4::timestamptz IS NULL OR (v.requested_at, v.callback_id) < ($4, $5::uuid))
ORDER BY v.requested_at DESC, v.callback_id DESC LIMIT $6

-- name: callbacks_of
-- What the database knows of these ($1) besides what the server does.
SELECT v.callback_id::text, v.entered, v.last_result, v.asked_by, c.display_name AS customer_name,
    coalesce(nullif(u.display_name, ''), v.asked_by) AS asked_by_name
FROM crm.v_callbacks AS v LEFT JOIN crm.customers AS c USING (customer_id) LEFT JOIN crm.users AS u ON u.name = v.asked_by
WHERE v.callback_id = ANY ($1::uuid[])

-- name: get_callback
SELECT v.*, c.display_name AS customer_name
FROM crm.v_callbacks AS v LEFT JOIN crm.customers AS c USING (customer_id)
WHERE v.callback_id = $1::uuid

-- name: one_callback_at_a_time
-- Until the end of the transaction nobody else enters one for this queue ($1) and number ($2).
SELECT pg_advisory_xact_lock(hashtext('crm.callbacks'), hashtext($1 || ' ' || $2))

-- name: add_callback
-- By hand: one that was not asked for in a call. $9: when it may be tried first, or null. No row: one is open for this
-- number and queue.
INSERT INTO crm.callbacks
    (callback_id, call_id, queue, number, entered, requested_at, since, customer_id, asked_by, priority, not_before)
SELECT $1::uuid, $1::uuid, $2, $3, $4, to_timestamp($5), to_timestamp($5), $6, $7, $8, to_timestamp($9)
WHERE NOT EXISTS (SELECT FROM crm.callbacks AS b
                  WHERE b.number = $3 AND b.queue = $2 AND b.state IN ('open', 'dialing'))
RETURNING callback_id::text

-- name: cancel_callback
-- By hand, one that is not under way. Running servers follow at once.
UPDATE crm.callbacks SET state = 'cancelled', cancelled_at = now(), cancelled_by = $2, ended_at = now(), ended_by = $2
WHERE callback_id = $1::uuid AND state = 'open'
RETURNING queue, number

-- name: callbacks_like
-- At most two: enough to see that a beginning is not unique.
SELECT callback_id::text FROM crm.callbacks WHERE callback_id::text LIKE $1 ORDER BY requested_at DESC LIMIT 2

-- name: is_barred
SELECT EXISTS (SELECT FROM crm.do_not_call WHERE number = $1) AS barred

-- ---------------------------------------------------------------- replay

-- name: replay_visits
-- The ended queue visits that began in [$1, $2), with what they came with and the handling of those that were answered;
-- of those who were called back and reached, of the call that was made for them.
SELECT v.call_id::text, v.seq, v.queue, extract(epoch FROM v.entered_at)::float8 AS entered_at,
    greatest(extract(epoch FROM v.left_at - v.entered_at), 0)::float8 AS wait, v.result,
    coalesce(v.agent, o.agent) AS agent, v.priority, v.skills, c.caller AS number, b.call_id::text AS made,
    v.priority <> crm.int(q.data -> 'priority') AS moved, q.data -> 'raised' AS raised,
    crm.num(q.data -> 'max_wait')::float8 AS max_wait, q.data ->> 'prefer' AS prefer,
    crm.num(q.data -> 'prefer_for')::float8 AS prefer_for, q.data ->> 'prefer_why' AS prefer_why,
    greatest(extract(epoch FROM o.ended_at - o.offered_at), 0)::float8 AS ringing,
    greatest(extract(epoch FROM o.disconnected_at - o.ended_at), 0)::float8 AS talk,
    greatest(extract(epoch FROM o.wrapped_at - o.disconnected_at), 0)::float8 AS wrap
FROM crm.queue_visits AS v
JOIN crm.calls AS c USING (call_id)
LEFT JOIN LATERAL (SELECT e.data FROM crm.events AS e
                   WHERE e.call_id = v.call_id AND e.type = 'call.queued' AND crm.int(e.data -> 'visit') = v.seq
                       AND e.at >= to_timestamp($1) - interval '1 day' AND e.at < to_timestamp($2) + interval '1 day'
                   ORDER BY e.seq LIMIT 1) AS q ON true
LEFT JOIN LATERAL (SELECT b.served_call_id AS call_id FROM crm.callbacks AS b
                   WHERE b.call_id = v.call_id AND b.queue = v.queue AND b.state = 'done'
                   ORDER BY b.requested_at LIMIT 1) AS b ON v.result = 'callback'
LEFT JOIN LATERAL (SELECT * FROM crm.offers AS o
                   WHERE o.call_id = coalesce(b.call_id, v.call_id) AND o.result = 'answered'
                       AND (b.call_id IS NOT NULL OR o.visit_seq = v.seq)
                   ORDER BY o.ended_at LIMIT 1) AS o ON v.result = 'answered' OR b.call_id IS NOT NULL
WHERE v.entered_at >= to_timestamp($1) AND v.entered_at < to_timestamp($2)
    AND v.left_at IS NOT NULL AND v.queue IS NOT NULL AND v.result IS NOT NULL
ORDER BY v.entered_at, v.call_id, v.seq

-- name: replay_skills
-- What everybody has now; who has left, had last.
SELECT u.name AS agent, jsonb_object_agg(s.skill, s.level) AS skills
FROM crm.users AS u JOIN crm.agent_skills AS s USING (user_id) GROUP BY u.user_id

-- name: replay_spells
-- What every agent wanted and did in [$1, $2), cut to it and to now.
SELECT agent, coalesce(wish, '') AS wish, coalesce(work, '') AS work, coalesce(call_id::text, '') AS call_id,
    coalesce(reason, '') AS reason,
    extract(epoch FROM greatest(since, to_timestamp($1)))::float8 AS since,
    extract(epoch FROM least(coalesce(until, now()), to_timestamp($2)))::float8 AS until
FROM crm.agent_states
WHERE since < least(to_timestamp($2), now()) AND coalesce(until, now()) > to_timestamp($1)
ORDER BY agent, since
