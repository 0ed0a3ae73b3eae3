CREATE TABLE `_cdc_subscription` (
	`name` text PRIMARY KEY NOT NULL,
	`acked_lsn` integer NOT NULL,
	`paused` integer DEFAULT 0 NOT NULL,
	`disabled` integer DEFAULT 0 NOT NULL,
	`batch_lsn` integer DEFAULT 0 NOT NULL,
	`batch_events` integer DEFAULT 0 NOT NULL,
	`attempts_begun` integer DEFAULT 0 NOT NULL,
	`attempts_ended` integer DEFAULT 0 NOT NULL,
	`first_attempt` integer DEFAULT 0 NOT NULL,
	`next_attempt` integer DEFAULT 0 NOT NULL,
	`last_error` text,
	`suspect_lsn` integer DEFAULT 0 NOT NULL,
	`failing` integer DEFAULT 0 NOT NULL,
	`delivered` integer DEFAULT 0 NOT NULL,
	`missed` integer DEFAULT 0 NOT NULL,
	`missed_lsn` integer DEFAULT 0 NOT NULL,
	`deliveries` text DEFAULT '[]' NOT NULL,
	`past_log` text,
	`past_lsn` integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE `__new__cdc_dead_letter` (
	`subscription` text DEFAULT '' NOT NULL,
	`lsn` integer NOT NULL,
	`txid` text NOT NULL,
	`time` integer NOT NULL,
	`event` text NOT NULL,
	`reason` text NOT NULL,
	`attempts` integer NOT NULL,
	`first_attempt` integer NOT NULL,
	`last_attempt` integer NOT NULL,
	PRIMARY KEY(`subscription`, `lsn`)
);
--> statement-breakpoint
INSERT INTO `__new__cdc_dead_letter`("lsn", "txid", "time", "event", "reason", "attempts", "first_attempt", "last_attempt") SELECT "lsn", "txid", "time", "event", "reason", "attempts", "first_attempt", "last_attempt" FROM `_cdc_dead_letter`;--> statement-breakpoint
DROP TABLE `_cdc_dead_letter`;--> statement-breakpoint
ALTER TABLE `__new__cdc_dead_letter` RENAME TO `_cdc_dead_letter`;