-- The CRM: customers, their numbers, cases, notes and consents.

CREATE TABLE crm.customers (
    customer_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    display_name text NOT NULL,
    tier         text NOT NULL DEFAULT 'standard',
    language     text,
    email        text,
    company      text,
    attributes   jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX customers_name ON crm.customers (lower(display_name), customer_id);
COMMENT ON TABLE  crm.customers IS 'People and firms who call us or whom we call.';
COMMENT ON COLUMN crm.customers.customer_id IS 'Key.';
COMMENT ON COLUMN crm.customers.display_name IS 'Name as written, any script.';
COMMENT ON COLUMN crm.customers.tier IS 'standard, vip, or what the installation likes; flows see it as customer.tier.';
COMMENT ON COLUMN crm.customers.language IS 'Language to speak to them: en, zh, id; null: unknown.';
COMMENT ON COLUMN crm.customers.email IS 'Mail address as entered.';
COMMENT ON COLUMN crm.customers.company IS 'Firm, when a person of one.';
COMMENT ON COLUMN crm.customers.attributes IS 'Whatever else the installation keeps: a flat map.';
COMMENT ON COLUMN crm.customers.created_at IS 'When the row was made.';
COMMENT ON COLUMN crm.customers.updated_at IS 'When the row was last changed.';

CREATE TABLE crm.customer_numbers (
    customer_id bigint NOT NULL REFERENCES crm.customers ON DELETE CASCADE,
    number      text NOT NULL CHECK (number ~ '^\+[1-9][0-9]{1,14}$'),
    entered     text NOT NULL DEFAULT '',
    label       text NOT NULL DEFAULT '',
    PRIMARY KEY (customer_id, number)
);
CREATE INDEX customer_numbers_number ON crm.customer_numbers (number);
COMMENT ON TABLE  crm.customer_numbers IS 'Many numbers a customer, many customers a number.';
COMMENT ON COLUMN crm.customer_numbers.customer_id IS 'Whose.';
COMMENT ON COLUMN crm.customer_numbers.number IS 'E.164.';
COMMENT ON COLUMN crm.customer_numbers.entered IS 'As somebody typed it.';
COMMENT ON COLUMN crm.customer_numbers.label IS 'mobile, home, work, or free.';

CREATE TABLE crm.cases (
    case_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES crm.customers ON DELETE CASCADE,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    status      text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    owner       text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cases_customer ON crm.cases (customer_id, created_at DESC);
COMMENT ON TABLE  crm.cases IS 'Matters that outlive a call.';
COMMENT ON COLUMN crm.cases.case_id IS 'Key.';
COMMENT ON COLUMN crm.cases.customer_id IS 'Whose matter.';
COMMENT ON COLUMN crm.cases.title IS 'One line.';
COMMENT ON COLUMN crm.cases.description IS 'The rest.';
COMMENT ON COLUMN crm.cases.status IS 'open or closed.';
COMMENT ON COLUMN crm.cases.owner IS 'Login name of who looks after it; null: nobody.';
COMMENT ON COLUMN crm.cases.created_at IS 'When it was opened.';
COMMENT ON COLUMN crm.cases.updated_at IS 'When it was last changed.';

CREATE TABLE crm.notes (
    note_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES crm.customers ON DELETE CASCADE,
    call_id     uuid,
    case_id     bigint REFERENCES crm.cases ON DELETE CASCADE,
    author      text NOT NULL,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_customer ON crm.notes (customer_id, created_at DESC);
COMMENT ON TABLE  crm.notes IS 'What somebody wrote about a customer.';
COMMENT ON COLUMN crm.notes.note_id IS 'Key.';
COMMENT ON COLUMN crm.notes.customer_id IS 'About whom.';
COMMENT ON COLUMN crm.notes.call_id IS 'Written during this call; null: outside one.';
COMMENT ON COLUMN crm.notes.case_id IS 'Belongs to this case; null: to none.';
COMMENT ON COLUMN crm.notes.author IS 'Login name of the writer.';
COMMENT ON COLUMN crm.notes.body IS 'The text, shown as text and never as markup.';
COMMENT ON COLUMN crm.notes.created_at IS 'When.';

CREATE TABLE crm.consents (
    consent_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint REFERENCES crm.customers ON DELETE SET NULL,
    number      text NOT NULL,
    purpose     text NOT NULL,
    given       boolean NOT NULL,
    source      text NOT NULL DEFAULT '',
    at          timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);
CREATE INDEX consents_number ON crm.consents (number, purpose, at DESC);
COMMENT ON TABLE  crm.consents IS 'Who allowed what; the newest row for a number and purpose counts.';
COMMENT ON COLUMN crm.consents.consent_id IS 'Key.';
COMMENT ON COLUMN crm.consents.customer_id IS 'The customer, when known.';
COMMENT ON COLUMN crm.consents.number IS 'E.164 of the number it is about.';
COMMENT ON COLUMN crm.consents.purpose IS 'recording, marketing, or free.';
COMMENT ON COLUMN crm.consents.given IS 'true: allowed, false: withdrawn or refused.';
COMMENT ON COLUMN crm.consents.source IS 'How we know: a call id, a form, a name.';
COMMENT ON COLUMN crm.consents.at IS 'When it was said.';
COMMENT ON COLUMN crm.consents.expires_at IS 'Not valid from then on; null: for ever.';
