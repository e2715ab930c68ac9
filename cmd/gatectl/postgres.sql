-- What "gatectl pull -into" makes, once, in one transaction. Whoever reads these tables may add indexes and views of their own.
CREATE TABLE gatepost_schema (version integer PRIMARY KEY, made timestamptz NOT NULL DEFAULT now());
INSERT INTO gatepost_schema (version) VALUES (1);

-- One row an entry. What an entry does not have is NULL. device, seq, hash and entry are proved; the rest is read from entry.
CREATE TABLE gatepost_entry (
	device    text   NOT NULL,
	seq       bigint NOT NULL, -- a whole number without a sign; from 2^63 on it is negative here
	hash      bytea  NOT NULL, -- what the next entry of the device carries
	kind      text   NOT NULL,
	boot      bigint NOT NULL,
	wall      timestamptz,     -- by the device's clock, to be believed as far as trust says; NULL: no year from 1970 to 9999
	trust     text   NOT NULL,
	mono_ms   bigint NOT NULL, -- since the boot
	lane      text,
	direction text,
	verdict   text,
	form      text,
	tag       bytea,
	undoes    bigint,          -- the passage of this device that does not count
	sealed    bytea,
	personal  jsonb,           -- what is in sealed, only where -key was given and opens it
	entry     bytea  NOT NULL, -- the exact bytes
	batch     jsonb,           -- on the last entry of each batch: the head before it, and the device's signature
	epoch     text   NOT NULL, -- of the log that it came from
	stored    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device, seq)
);
CREATE INDEX gatepost_entry_wall ON gatepost_entry (wall);

-- How far each log has been taken, by each consumer; moved in the transaction that stores the entries.
CREATE TABLE gatepost_cursor (
	epoch    text NOT NULL,
	consumer text NOT NULL, -- '' where -consumer was not given
	cursor   text NOT NULL, -- '' at the log's beginning
	entries  bigint NOT NULL DEFAULT 0, -- taken with it, those among them that stood here before
	moved    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (epoch, consumer)
);

-- Where each device's chain stands at that cursor.
CREATE TABLE gatepost_chain (
	epoch    text NOT NULL,
	consumer text NOT NULL,
	device   text NOT NULL,
	seq      bigint NOT NULL,
	hash     bytea NOT NULL,
	forked   boolean NOT NULL, -- it is another one than that in gatepost_entry, and all that follows goes to gatepost_fork
	PRIMARY KEY (epoch, consumer, device)
);

-- Entries that contradict those in gatepost_entry: a card was cloned or rolled back. A person must look at each.
CREATE TABLE gatepost_fork (
	device  text   NOT NULL,
	seq     bigint NOT NULL,
	hash    bytea  NOT NULL,
	held    bytea,           -- hash of the entry that stands in this one's place in gatepost_entry
	entry   bytea  NOT NULL,
	epoch   text   NOT NULL,
	noticed timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (device, seq, hash)
);
