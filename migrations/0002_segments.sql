ALTER TABLE `_cdc_state` ADD `segments` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE `_cdc_state` ADD `sealed_lsn` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `_cdc_state` ADD `sealed_bytes` integer DEFAULT 0 NOT NULL;