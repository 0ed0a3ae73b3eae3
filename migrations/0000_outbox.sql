CREATE TABLE `_cdc_alarm` (
	`name` text PRIMARY KEY NOT NULL,
	`due` integer NOT NULL,
	`scheduled` integer NOT NULL,
	`retries` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `_cdc_alarm_due` ON `_cdc_alarm` (`due`);--> statement-breakpoint
CREATE TABLE `_cdc_dead_letter` (
	`lsn` integer PRIMARY KEY NOT NULL,
	`txid` text NOT NULL,
	`time` integer NOT NULL,
	`event` text NOT NULL,
	`reason` text NOT NULL,
	`attempts` integer NOT NULL,
	`first_attempt` integer NOT NULL,
	`last_attempt` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `_cdc_inbox` (
	`log` text NOT NULL,
	`first_lsn` integer NOT NULL,
	`last_lsn` integer NOT NULL,
	`time` integer NOT NULL,
	PRIMARY KEY(`log`, `first_lsn`)
);
--> statement-breakpoint
CREATE TABLE `_cdc_inbox_id` (
	`seq` integer PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`time` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `_cdc_inbox_id_name_unique` ON `_cdc_inbox_id` (`name`);--> statement-breakpoint
CREATE TABLE `_cdc_outbox` (
	`lsn` integer PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`bytes` integer NOT NULL,
	`txid` text NOT NULL,
	`time` integer NOT NULL,
	`events` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `_cdc_snapshot` (
	`name` text PRIMARY KEY NOT NULL,
	`position` text,
	`chunk` integer NOT NULL,
	`rows` integer NOT NULL,
	`started` integer NOT NULL,
	`ended` integer NOT NULL,
	`error` text
);
--> statement-breakpoint
CREATE TABLE `_cdc_state` (
	`id` integer PRIMARY KEY NOT NULL,
	`object` text,
	`ns` text NOT NULL,
	`source` text NOT NULL,
	`epoch` text NOT NULL,
	`epoch_lsn` integer NOT NULL,
	`acked_lsn` integer NOT NULL,
	`acked_bytes` integer NOT NULL,
	`pruned_bytes` integer NOT NULL,
	`paused` integer NOT NULL,
	`batch_lsn` integer NOT NULL,
	`attempts_begun` integer NOT NULL,
	`attempts_ended` integer NOT NULL,
	`first_attempt` integer NOT NULL,
	`next_attempt` integer NOT NULL,
	`last_error` text,
	`suspect_lsn` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `_cdc_transaction` (
	`id` integer PRIMARY KEY NOT NULL,
	`txid` text NOT NULL,
	`time` integer NOT NULL,
	`fields` text NOT NULL,
	`envelope_bytes` integer NOT NULL
);
