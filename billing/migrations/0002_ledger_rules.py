"""What the database itself refuses in the books, room for the hot rows, and the first prices."""

from datetime import UTC, datetime

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
# Micro-euros per character. Fish Audio bills 15 USD per million UTF-8 bytes, about 13.90 EUR; French takes 1.04 bytes
# per character, so 25 leaves 42 %. The local engine has no supplier: 5 pays for the machine.
FIRST_PRICES = (("kokoro", 5, 0), ("fish", 25, 13_900_000))


def set_first_prices(apps, schema_editor):
    price = apps.get_model("billing", "Price")
    for engine, micros_per_character, upstream in FIRST_PRICES:
        price.objects.create(
            engine=engine,
            micros_per_character=micros_per_character,
            upstream_micros_per_million_bytes=upstream,
            starts_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


def remove_first_prices(apps, schema_editor):
    apps.get_model("billing", "Price").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [
        migrations.RunSQL(RULES, UNDO),
        migrations.RunPython(set_first_prices, remove_first_prices),
    ]
