-- A version may serve a share of the new callers before it serves all.

ALTER TABLE crm.flow_versions
    ADD COLUMN share   integer NOT NULL DEFAULT 0 CHECK (share BETWEEN 0 AND 99),
    ADD COLUMN live_at timestamptz,
    ADD CONSTRAINT flow_versions_live_or_share CHECK (NOT (live AND share > 0));
UPDATE crm.flow_versions SET live_at = published_at;
CREATE UNIQUE INDEX flow_versions_canary ON crm.flow_versions ((share > 0)) WHERE share > 0;
CREATE INDEX calls_flow_version ON crm.calls (flow_version);
COMMENT ON TABLE  crm.flow_versions IS 'Every version of the flows folder that was ever published.';
COMMENT ON COLUMN crm.flow_versions.share IS 'So many percent of the new callers it serves beside the live one; 0: none.';
COMMENT ON COLUMN crm.flow_versions.live_at IS 'When it was made the live one, the last time; null: it never was.';
COMMENT ON COLUMN crm.flow_versions.rolled_back_at IS
    'When it was replaced by an earlier one, or its share was taken from it; null: was not.';
