-- The hub's view of its log. Everything but place can be made again by replay.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row a device of which the log holds entries; times in milliseconds since 1970, by the device's clock. boot and
-- began are its newest entry.Anchor.
CREATE TABLE IF NOT EXISTS gate (
	device TEXT PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
	first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, entries INTEGER NOT NULL,
	boot INTEGER NOT NULL, began INTEGER NOT NULL
) WITHOUT ROWID;

-- One row a passage that counts, so that an undo finds it, and a time that comes later in the same boot.
CREATE TABLE IF NOT EXISTS passage (
	device TEXT NOT NULL, seq INTEGER NOT NULL, day TEXT NOT NULL, direction INTEGER NOT NULL,
	verdict INTEGER NOT NULL, unsure INTEGER NOT NULL, boot INTEGER NOT NULL, mono INTEGER NOT NULL,
	PRIMARY KEY (device, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS undated ON passage (device, boot) WHERE unsure = 1;

-- The passages counted; unsure are those whose clock was not trusted.
CREATE TABLE IF NOT EXISTS tally (
	day TEXT NOT NULL, device TEXT NOT NULL, direction INTEGER NOT NULL, verdict INTEGER NOT NULL,
	n INTEGER NOT NULL, unsure INTEGER NOT NULL, PRIMARY KEY (day, device, direction, verdict)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS alarm (
	record INTEGER PRIMARY KEY, at INTEGER NOT NULL, device TEXT NOT NULL, seq INTEGER NOT NULL,
	ours TEXT NOT NULL, theirs TEXT NOT NULL, kind TEXT NOT NULL
);

-- Seals that were about to be opened; times in milliseconds since 1970.
CREATE TABLE IF NOT EXISTS release (
	record INTEGER PRIMARY KEY, at INTEGER NOT NULL, for_case TEXT NOT NULL, search TEXT NOT NULL, token TEXT NOT NULL,
	entries INTEGER NOT NULL, devices INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
);

-- Where each known device stands; it comes from the hub's devices folder, not from the log.
CREATE TABLE IF NOT EXISTS place (
	device TEXT PRIMARY KEY, name TEXT NOT NULL, venue TEXT NOT NULL, area TEXT NOT NULL
) WITHOUT ROWID;
