CREATE TABLE `_cdc_capture` (
	`name` text PRIMARY KEY NOT NULL,
	`options` text NOT NULL,
	`columns` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `_cdc_replaced` (
	`seq` integer PRIMARY KEY NOT NULL,
	`table_name` text NOT NULL,
	`key` text NOT NULL,
	`before` text NOT NULL,
	`k0` blob,
	`k1` blob,
	`k2` blob,
	`k3` blob
);
--> statement-breakpoint
ALTER TABLE `_cdc_transaction` ADD `changes` integer DEFAULT 0 NOT NULL;