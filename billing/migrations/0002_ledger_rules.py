"""What the database itself refuses in the books, and room for the hot rows."""

from django.db import migrations

RULES = """
-- Entries are never changed: corrections are new entries.
CREATE FUNCTION billing_entry_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The books are append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER billing_entry_immutable BEFORE UPDATE OR DELETE ON billing_entry
    FOR EACH ROW EXECUTE FUNCTION billing_entry_is_immutable();
CREATE TRIGGER billing_grantuse_immutable BEFORE UPDATE OR DELETE ON billing_grantuse
    FOR EACH ROW EXECUTE FUNCTION billing_entry_is_immutable();
-- Test databases are emptied between tests; no other may be.
CREATE TRIGGER billing_entry_no_truncate BEFORE TRUNCATE ON billing_entry
    FOR EACH STATEMENT WHEN (current_database() NOT LIKE '%test%') EXECUTE FUNCTION billing_entry_is_immutable();

-- The legs of one movement sum to zero when its transaction commits.
CREATE FUNCTION billing_entry_is_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount_micros) FROM billing_entry
        WHERE source_type = NEW.source_type AND source_id = NEW.source_id) <> 0 THEN
        RAISE EXCEPTION 'The legs of % % do not sum to zero.', NEW.source_type, NEW.source_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_entry_balanced AFTER INSERT ON billing_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_entry_is_balanced();

-- Sums are updated in place: leave room on the page, so that no index is touched.
ALTER TABLE billing_account SET (fillfactor = 50);
ALTER TABLE billing_hold SET (fillfactor = 80);
"""
UNDO = """
DROP TRIGGER billing_entry_balanced ON billing_entry;
DROP TRIGGER billing_entry_no_truncate ON billing_entry;
DROP TRIGGER billing_grantuse_immutable ON billing_grantuse;
DROP TRIGGER billing_entry_immutable ON billing_entry;
DROP FUNCTION billing_entry_is_balanced();
DROP FUNCTION billing_entry_is_immutable();
ALTER TABLE billing_hold RESET (fillfactor);
ALTER TABLE billing_account RESET (fillfactor);
"""

class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunSQL(RULES, UNDO)]
