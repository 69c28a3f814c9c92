-- What happened (events), and the rows that are folded from it (0004_fold.sql).
-- Folded tables have no foreign keys and no checks: a fact is never refused.

CREATE TABLE crm.events (
    event_id bigint NOT NULL,
    call_id  uuid,
    seq      integer NOT NULL,
    at       timestamptz NOT NULL,
    type     text NOT NULL,
    agent    text,
    queue    text,
    data     jsonb NOT NULL,
    PRIMARY KEY (event_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX events_call ON crm.events (call_id, seq) WHERE call_id IS NOT NULL;
CREATE INDEX events_agent ON crm.events (agent, at) WHERE type = 'agent.state_changed';
CREATE TABLE crm.events_other PARTITION OF crm.events DEFAULT;
COMMENT ON TABLE  crm.events IS 'Every event, append-only, one partition a UTC day (events_YYYYMMDD).';
COMMENT ON TABLE  crm.events_other IS 'Events with an absurd time (a broken clock).';
COMMENT ON COLUMN crm.events.event_id IS 'Position in the journal: rising, unique.';
COMMENT ON COLUMN crm.events.call_id IS 'The call; null: of an agent alone. A UUIDv7 whose time is the start of the call.';
COMMENT ON COLUMN crm.events.seq IS 'Order within the call from 1; 0 without a call. Never order by `at`.';
COMMENT ON COLUMN crm.events.at IS 'When it happened: the switch''s time for its facts, the server''s for requests.';
COMMENT ON COLUMN crm.events.type IS 'As in cti/core/messages.py, past tense: call.queued.';
COMMENT ON COLUMN crm.events.agent IS 'Login name, when about an agent.';
COMMENT ON COLUMN crm.events.queue IS 'Name of the queue, when about one.';
COMMENT ON COLUMN crm.events.data IS 'The rest, by type, as in cti/core/messages.py.';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON crm.events
    FOR EACH ROW EXECUTE FUNCTION crm.refuse_change();

CREATE FUNCTION crm.make_event_partitions(days date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('crm.make_event_partitions'));
    FOR day IN SELECT DISTINCT d FROM unnest(days) AS d LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('crm.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE crm.%I PARTITION OF crm.events FOR VALUES FROM (%L) TO (%L)',
            name, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
    END LOOP;
END $$;
COMMENT ON FUNCTION crm.make_event_partitions IS 'Creates the partitions of these UTC days that are missing.';

CREATE TABLE crm.journal_cursor (
    journal  uuid PRIMARY KEY,
    position bigint NOT NULL
);
COMMENT ON TABLE  crm.journal_cursor IS 'How far each server''s journal is stored; moved in the transaction that stores.';
COMMENT ON COLUMN crm.journal_cursor.journal IS 'The journal''s own id (file `id` in its folder).';
COMMENT ON COLUMN crm.journal_cursor.position IS 'Position of the last event stored.';

CREATE TABLE crm.calls (
    call_id      uuid PRIMARY KEY,
    story_id     uuid NOT NULL,
    direction    text NOT NULL,
    caller       text,
    caller_name  text,
    called       text,
    customer_id  bigint,
    flow         text,
    flow_version integer,
    queue        text,
    agent        text,
    started_at   timestamptz NOT NULL,
    queued_at    timestamptz,
    offered_at   timestamptz,
    connected_at timestamptz,
    ended_at     timestamptz,
    wrapped_at   timestamptz,
    outcome      text,
    voicemail    boolean NOT NULL,
    hangup_side  text,
    hangup_cause integer,
    disposition  text,
    campaign     text,
    recordings   integer NOT NULL,
    attributes   jsonb NOT NULL,
    finished     boolean NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX calls_started ON crm.calls (started_at DESC, call_id DESC);
CREATE INDEX calls_agent ON crm.calls (agent, started_at DESC, call_id DESC) WHERE agent IS NOT NULL;
CREATE INDEX calls_caller ON crm.calls (caller, started_at DESC);
CREATE INDEX calls_called ON crm.calls (called, started_at DESC) WHERE direction = 'outbound';
CREATE INDEX calls_customer ON crm.calls (customer_id, started_at DESC) WHERE customer_id IS NOT NULL;
CREATE INDEX calls_unfinished ON crm.calls (started_at) WHERE NOT finished;
COMMENT ON TABLE  crm.calls IS 'One row a call: one customer''s unbroken presence on the line.';
COMMENT ON COLUMN crm.calls.call_id IS 'UUIDv7; its time is the start of the call.';
COMMENT ON COLUMN crm.calls.story_id IS 'Joins a call with its callback and repeat calls; the call itself when alone.';
COMMENT ON COLUMN crm.calls.direction IS 'inbound, outbound, internal.';
COMMENT ON COLUMN crm.calls.caller IS 'E.164 where it can be one, else as received; null: withheld.';
COMMENT ON COLUMN crm.calls.caller_name IS 'Name the caller''s side sent; never trusted.';
COMMENT ON COLUMN crm.calls.called IS 'Number called: E.164 where it can be one, else as dialled.';
COMMENT ON COLUMN crm.calls.customer_id IS 'The customer; null unless exactly one matches or the agent chose.';
COMMENT ON COLUMN crm.calls.flow IS 'First flow the call went through.';
COMMENT ON COLUMN crm.calls.flow_version IS 'Version of the flows folder it ran on.';
COMMENT ON COLUMN crm.calls.queue IS 'First queue.';
COMMENT ON COLUMN crm.calls.agent IS 'First agent who talked, login name.';
COMMENT ON COLUMN crm.calls.started_at IS 'When the call arrived or was placed.';
COMMENT ON COLUMN crm.calls.queued_at IS 'When it first entered a queue.';
COMMENT ON COLUMN crm.calls.offered_at IS 'When the offer was made that was answered.';
COMMENT ON COLUMN crm.calls.connected_at IS 'When caller and agent first talked.';
COMMENT ON COLUMN crm.calls.ended_at IS 'When the caller was gone; null: still there.';
COMMENT ON COLUMN crm.calls.wrapped_at IS 'When the first agent finished wrap-up.';
COMMENT ON COLUMN crm.calls.outcome IS 'answered as soon as an agent talks; else, once ended: result of the last visit, else how the flow ended.';
COMMENT ON COLUMN crm.calls.voicemail IS 'Whether the caller left a message.';
COMMENT ON COLUMN crm.calls.hangup_side IS 'caller (the customer), agent or system.';
COMMENT ON COLUMN crm.calls.hangup_cause IS 'Q.850.';
COMMENT ON COLUMN crm.calls.disposition IS 'Code the agent set last.';
COMMENT ON COLUMN crm.calls.campaign IS 'Outbound campaign, if one.';
COMMENT ON COLUMN crm.calls.recordings IS 'How many recordings are complete.';
COMMENT ON COLUMN crm.calls.attributes IS 'Variables set by the flow, the last value of each.';
COMMENT ON COLUMN crm.calls.finished IS 'Ended, wrapped up and recordings complete: nothing more is expected.';

CREATE TABLE crm.queue_visits (
    call_id    uuid NOT NULL,
    seq        integer NOT NULL,
    queue      text,
    entered_at timestamptz NOT NULL,
    left_at    timestamptz,
    result     text,
    agent      text,
    priority   integer,
    skills     jsonb,
    PRIMARY KEY (call_id, seq)
) WITH (fillfactor = 70);
CREATE INDEX queue_visits_entered ON crm.queue_visits (entered_at);
COMMENT ON TABLE  crm.queue_visits IS 'Each wait in a queue, with exactly one result.';
COMMENT ON COLUMN crm.queue_visits.call_id IS 'The call.';
COMMENT ON COLUMN crm.queue_visits.seq IS 'Visits of a call, numbered from 1.';
COMMENT ON COLUMN crm.queue_visits.queue IS 'The queue.';
COMMENT ON COLUMN crm.queue_visits.entered_at IS 'Since when it waits.';
COMMENT ON COLUMN crm.queue_visits.left_at IS 'Until when; null: waits.';
COMMENT ON COLUMN crm.queue_visits.result IS 'answered, abandoned, short_abandon, timeout, full, no_agents, closed, left, callback, failed; null: waits.';
COMMENT ON COLUMN crm.queue_visits.agent IS 'Who answered.';
COMMENT ON COLUMN crm.queue_visits.priority IS 'Higher first; the last one set.';
COMMENT ON COLUMN crm.queue_visits.skills IS 'What it asked for: {skill: level}.';

CREATE TABLE crm.offers (
    call_id    uuid NOT NULL,
    offer      text NOT NULL,
    visit_seq  integer,
    queue      text,
    agent      text,
    offered_at timestamptz NOT NULL,
    ended_at   timestamptz,
    result     text,
    decision   jsonb,
    disconnected_at timestamptz,
    wrapped_at timestamptz,
    PRIMARY KEY (call_id, offer)
) WITH (fillfactor = 70);
CREATE INDEX offers_agent ON crm.offers (agent, offered_at);
CREATE INDEX offers_offered ON crm.offers (offered_at);
COMMENT ON TABLE  crm.offers IS 'Each time a visit was proposed to an agent, with exactly one result.';
COMMENT ON COLUMN crm.offers.call_id IS 'The call.';
COMMENT ON COLUMN crm.offers.offer IS 'Id of the offer, also of its recording.';
COMMENT ON COLUMN crm.offers.visit_seq IS 'seq of the queue visit.';
COMMENT ON COLUMN crm.offers.queue IS 'The queue.';
COMMENT ON COLUMN crm.offers.agent IS 'To whom.';
COMMENT ON COLUMN crm.offers.offered_at IS 'Since when it rang.';
COMMENT ON COLUMN crm.offers.ended_at IS 'When it was answered or ended otherwise; null: rings.';
COMMENT ON COLUMN crm.offers.result IS 'answered, missed, rejected, caller_left, cancelled; null: rings.';
COMMENT ON COLUMN crm.offers.decision IS 'Why this agent.';
COMMENT ON COLUMN crm.offers.disconnected_at IS 'When the conversation ended that began at ended_at; null: none, or it goes on.';
COMMENT ON COLUMN crm.offers.wrapped_at IS 'When the agent had finished wrap-up after it.';

CREATE TABLE crm.agent_states (
    event_id bigint NOT NULL,
    agent    text NOT NULL,
    wish     text,
    reason   text,
    work     text,
    call_id  uuid,
    at       timestamptz NOT NULL,
    since    timestamptz NOT NULL,
    until    timestamptz,
    PRIMARY KEY (agent, event_id)
) WITH (fillfactor = 70);
CREATE INDEX agent_states_since ON crm.agent_states (since);
COMMENT ON TABLE  crm.agent_states IS 'What each agent wanted and did, from when to when; spans of an agent never overlap.';
COMMENT ON COLUMN crm.agent_states.event_id IS 'Event that began it. Order by it, not by time.';
COMMENT ON COLUMN crm.agent_states.agent IS 'Login name.';
COMMENT ON COLUMN crm.agent_states.wish IS 'logged_out, not_ready, ready.';
COMMENT ON COLUMN crm.agent_states.reason IS 'Why not ready.';
COMMENT ON COLUMN crm.agent_states.work IS 'idle, reserved, talking, wrap_up.';
COMMENT ON COLUMN crm.agent_states.call_id IS 'Busy with which call.';
COMMENT ON COLUMN crm.agent_states.at IS 'The event''s own time.';
COMMENT ON COLUMN crm.agent_states.since IS 'From: at, but no earlier than the state before, and never in the future.';
COMMENT ON COLUMN crm.agent_states.until IS 'To; null: still.';

CREATE TABLE crm.recordings (
    recording_id   text PRIMARY KEY,
    call_id        uuid,
    agent          text,
    started_at     timestamptz,
    seconds        double precision NOT NULL,
    channels       integer NOT NULL,
    bytes          bigint NOT NULL,
    sha256         text,
    paused_seconds double precision NOT NULL,
    path           text
);
CREATE INDEX recordings_call ON crm.recordings (call_id);
CREATE INDEX recordings_agent ON crm.recordings (agent, started_at DESC, recording_id DESC) WHERE agent IS NOT NULL;
CREATE INDEX recordings_started ON crm.recordings (started_at DESC, recording_id DESC);
COMMENT ON TABLE  crm.recordings IS 'One row a finished recording of one conversation.';
COMMENT ON COLUMN crm.recordings.recording_id IS 'The offer''s id.';
COMMENT ON COLUMN crm.recordings.call_id IS 'The call.';
COMMENT ON COLUMN crm.recordings.agent IS 'Who is on the right side.';
COMMENT ON COLUMN crm.recordings.started_at IS 'When it began.';
COMMENT ON COLUMN crm.recordings.seconds IS 'Length of the sound.';
COMMENT ON COLUMN crm.recordings.channels IS '2: caller left, agent right.';
COMMENT ON COLUMN crm.recordings.bytes IS 'Size of the file; 0: it failed.';
COMMENT ON COLUMN crm.recordings.sha256 IS 'Of the file, hexadecimal.';
COMMENT ON COLUMN crm.recordings.paused_seconds IS 'How long it was paused.';
COMMENT ON COLUMN crm.recordings.path IS 'Relative to paths.recordings.';

CREATE TABLE crm.attempts (
    attempt_id         uuid PRIMARY KEY,
    campaign           text NOT NULL,
    lead_id            bigint NOT NULL,
    number             text NOT NULL,
    call_id            uuid,
    dialed_at          timestamptz NOT NULL,
    answered_at        timestamptz,
    agent_connected_at timestamptz,
    result             text,
    abandoned          boolean
);
COMMENT ON TABLE  crm.attempts IS 'One dial of one lead.';
COMMENT ON COLUMN crm.attempts.attempt_id IS 'Key; part of the ChannelId, so that no attempt is dialled twice.';
COMMENT ON COLUMN crm.attempts.campaign IS 'For which campaign.';
COMMENT ON COLUMN crm.attempts.lead_id IS 'Whom.';
COMMENT ON COLUMN crm.attempts.number IS 'E.164.';
COMMENT ON COLUMN crm.attempts.call_id IS 'The call it became.';
COMMENT ON COLUMN crm.attempts.dialed_at IS 'When.';
COMMENT ON COLUMN crm.attempts.answered_at IS 'When a person answered.';
COMMENT ON COLUMN crm.attempts.agent_connected_at IS 'When an agent was there.';
COMMENT ON COLUMN crm.attempts.result IS 'How it ended; null: under way.';
COMMENT ON COLUMN crm.attempts.abandoned IS 'A person answered and no agent came in time.';

CREATE TABLE crm.flow_versions (
    version        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    files          jsonb NOT NULL,
    published_at   timestamptz NOT NULL DEFAULT now(),
    published_by   text NOT NULL,
    note           text NOT NULL DEFAULT '',
    live           boolean NOT NULL DEFAULT false,
    rolled_back_at timestamptz
);
CREATE UNIQUE INDEX flow_versions_live ON crm.flow_versions (live) WHERE live;
COMMENT ON TABLE  crm.flow_versions IS 'Every version of the flows folder that was ever live.';
COMMENT ON COLUMN crm.flow_versions.version IS 'Number, rising.';
COMMENT ON COLUMN crm.flow_versions.files IS '{path: text} of the whole folder.';
COMMENT ON COLUMN crm.flow_versions.published_at IS 'When.';
COMMENT ON COLUMN crm.flow_versions.published_by IS 'Login name, or how.';
COMMENT ON COLUMN crm.flow_versions.note IS 'Why.';
COMMENT ON COLUMN crm.flow_versions.live IS 'Serves new calls; one version at most.';
COMMENT ON COLUMN crm.flow_versions.rolled_back_at IS 'When it was replaced by an earlier one; null: was not.';

CREATE FUNCTION crm.tell_flows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('crm_flows', '');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION crm.tell_flows IS 'Tells the running servers that another version may be live.';
CREATE TRIGGER tell_flows AFTER INSERT OR UPDATE ON crm.flow_versions
    FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_flows();
