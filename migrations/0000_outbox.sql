CREATE TABLE `_cdc_outbox` (
	`lsn` integer PRIMARY KEY NOT NULL,
	`count` integer NOT NULL,
	`bytes` integer NOT NULL,
	`txid` text NOT NULL,
	`time` integer NOT NULL,
	`events` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `_cdc_state` (
	`id` integer PRIMARY KEY NOT NULL,
	`object` text,
	`ns` text NOT NULL,
	`source` text NOT NULL,
	`epoch` text NOT NULL,
	`acked_lsn` integer NOT NULL,
	`batch_lsn` integer NOT NULL,
	`batch_attempts` integer NOT NULL
);
