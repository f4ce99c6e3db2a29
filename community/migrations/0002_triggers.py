from django.db import migrations

# One statement of any size costs one pass: COPY of a million voices is one INSERT ... SELECT here.
FUNCTIONS = r"""
CREATE FUNCTION community_list_voices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM community_listing WHERE voice_id IN (
        SELECT id FROM changed
        WHERE NOT (visibility = 'public' AND state = 'trained' AND NOT is_hidden
                   AND retired_at IS NULL AND deleted_at IS NULL)
    );
    INSERT INTO community_listing AS listing
        (voice_id, popularity, like_count, created_at, tier, search_text)
    SELECT id, popularity, like_count, created_at,
        (SELECT count(*) FROM community_tier WHERE changed.popularity >= community_tier.popularity),
        search_text
    FROM (SELECT *, least(task_count, 2147483647) * 4294967296 + id AS popularity FROM changed) AS changed
    WHERE visibility = 'public' AND state = 'trained' AND NOT is_hidden
          AND retired_at IS NULL AND deleted_at IS NULL
    ORDER BY id
    ON CONFLICT (voice_id) DO UPDATE SET
        popularity = excluded.popularity, like_count = excluded.like_count,
        created_at = excluded.created_at, tier = excluded.tier, search_text = excluded.search_text
    WHERE (listing.popularity, listing.like_count, listing.created_at, listing.tier, listing.search_text)
        IS DISTINCT FROM
        (excluded.popularity, excluded.like_count, excluded.created_at, excluded.tier, excluded.search_text);
    -- Sorted, so that two bulk writes with the same new words wait for each other instead of deadlocking.
    INSERT INTO community_word (word, frequency)
    SELECT DISTINCT word, 1
    FROM changed, unnest(string_to_array(search_text, ' ')) AS word
    WHERE visibility = 'public' AND NOT is_hidden AND length(word) BETWEEN 3 AND 32 AND word !~ '^[@#0-9]'
    ORDER BY word
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION community_unlist_voices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM community_listing WHERE voice_id IN (SELECT id FROM gone);
    RETURN NULL;
END $$;

CREATE TRIGGER community_listed_insert AFTER INSERT ON voices_voice
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION community_list_voices();
CREATE TRIGGER community_listed_update AFTER UPDATE ON voices_voice
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION community_list_voices();
CREATE TRIGGER community_listed_delete AFTER DELETE ON voices_voice
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION community_unlist_voices();
"""
REMOVAL = """
DROP TRIGGER community_listed_insert ON voices_voice;
DROP TRIGGER community_listed_update ON voices_voice;
DROP TRIGGER community_listed_delete ON voices_voice;
DROP FUNCTION community_list_voices();
DROP FUNCTION community_unlist_voices();
"""
# Voices that were there before the triggers.
LIST_EXISTING = "UPDATE voices_voice SET id = id"


class Migration(migrations.Migration):
    dependencies = [("community", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTIONS, REMOVAL),
        migrations.RunSQL(LIST_EXISTING, migrations.RunSQL.noop),
    ]
