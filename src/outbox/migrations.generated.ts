// Made by `npm run embed`; edit the SQL, not this file.

import type { Migration } from '../sqlite/migrate.ts'

export const migrations: readonly Migration[] = [
  {
    "name": "0000_outbox",
    "sql": "CREATE TABLE `_cdc_alarm` (\n\t`name` text PRIMARY KEY NOT NULL,\n\t`due` integer NOT NULL,\n\t`scheduled` integer NOT NULL,\n\t`retries` integer NOT NULL\n);\n--> statement-breakpoint\nCREATE INDEX `_cdc_alarm_due` ON `_cdc_alarm` (`due`);--> statement-breakpoint\nCREATE TABLE `_cdc_dead_letter` (\n\t`lsn` integer PRIMARY KEY NOT NULL,\n\t`txid` text NOT NULL,\n\t`time` integer NOT NULL,\n\t`event` text NOT NULL,\n\t`reason` text NOT NULL,\n\t`attempts` integer NOT NULL,\n\t`first_attempt` integer NOT NULL,\n\t`last_attempt` integer NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_inbox` (\n\t`log` text NOT NULL,\n\t`first_lsn` integer NOT NULL,\n\t`last_lsn` integer NOT NULL,\n\t`time` integer NOT NULL,\n\tPRIMARY KEY(`log`, `first_lsn`)\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_inbox_id` (\n\t`seq` integer PRIMARY KEY NOT NULL,\n\t`name` text NOT NULL,\n\t`time` integer NOT NULL\n);\n--> statement-breakpoint\nCREATE UNIQUE INDEX `_cdc_inbox_id_name_unique` ON `_cdc_inbox_id` (`name`);--> statement-breakpoint\nCREATE TABLE `_cdc_outbox` (\n\t`lsn` integer PRIMARY KEY NOT NULL,\n\t`count` integer NOT NULL,\n\t`bytes` integer NOT NULL,\n\t`txid` text NOT NULL,\n\t`time` integer NOT NULL,\n\t`events` text NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_snapshot` (\n\t`name` text PRIMARY KEY NOT NULL,\n\t`position` text,\n\t`chunk` integer NOT NULL,\n\t`rows` integer NOT NULL,\n\t`started` integer NOT NULL,\n\t`ended` integer NOT NULL,\n\t`error` text\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_state` (\n\t`id` integer PRIMARY KEY NOT NULL,\n\t`object` text,\n\t`ns` text NOT NULL,\n\t`source` text NOT NULL,\n\t`epoch` text NOT NULL,\n\t`epoch_lsn` integer NOT NULL,\n\t`acked_lsn` integer NOT NULL,\n\t`acked_bytes` integer NOT NULL,\n\t`pruned_bytes` integer NOT NULL,\n\t`paused` integer NOT NULL,\n\t`batch_lsn` integer NOT NULL,\n\t`attempts_begun` integer NOT NULL,\n\t`attempts_ended` integer NOT NULL,\n\t`first_attempt` integer NOT NULL,\n\t`next_attempt` integer NOT NULL,\n\t`last_error` text,\n\t`suspect_lsn` integer NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_transaction` (\n\t`id` integer PRIMARY KEY NOT NULL,\n\t`txid` text NOT NULL,\n\t`time` integer NOT NULL,\n\t`fields` text NOT NULL,\n\t`envelope_bytes` integer NOT NULL\n);\n"
  },
  {
    "name": "0001_capture",
    "sql": "CREATE TABLE `_cdc_capture` (\n\t`name` text PRIMARY KEY NOT NULL,\n\t`options` text NOT NULL,\n\t`columns` text NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_replaced` (\n\t`seq` integer PRIMARY KEY NOT NULL,\n\t`table_name` text NOT NULL,\n\t`key` text NOT NULL,\n\t`before` text NOT NULL,\n\t`k0` blob,\n\t`k1` blob,\n\t`k2` blob,\n\t`k3` blob\n);\n--> statement-breakpoint\nALTER TABLE `_cdc_transaction` ADD `changes` integer DEFAULT 0 NOT NULL;"
  },
  {
    "name": "0002_segments",
    "sql": "ALTER TABLE `_cdc_state` ADD `segments` text DEFAULT '[]' NOT NULL;--> statement-breakpoint\nALTER TABLE `_cdc_state` ADD `sealed_lsn` integer DEFAULT 0 NOT NULL;--> statement-breakpoint\nALTER TABLE `_cdc_state` ADD `sealed_bytes` integer DEFAULT 0 NOT NULL;"
  },
  {
    "name": "0003_subscriptions",
    "sql": "CREATE TABLE `_cdc_subscription` (\n\t`name` text PRIMARY KEY NOT NULL,\n\t`acked_lsn` integer NOT NULL,\n\t`paused` integer DEFAULT 0 NOT NULL,\n\t`disabled` integer DEFAULT 0 NOT NULL,\n\t`batch_lsn` integer DEFAULT 0 NOT NULL,\n\t`batch_events` integer DEFAULT 0 NOT NULL,\n\t`attempts_begun` integer DEFAULT 0 NOT NULL,\n\t`attempts_ended` integer DEFAULT 0 NOT NULL,\n\t`first_attempt` integer DEFAULT 0 NOT NULL,\n\t`next_attempt` integer DEFAULT 0 NOT NULL,\n\t`last_error` text,\n\t`suspect_lsn` integer DEFAULT 0 NOT NULL,\n\t`failing` integer DEFAULT 0 NOT NULL,\n\t`delivered` integer DEFAULT 0 NOT NULL,\n\t`missed` integer DEFAULT 0 NOT NULL,\n\t`missed_lsn` integer DEFAULT 0 NOT NULL,\n\t`deliveries` text DEFAULT '[]' NOT NULL,\n\t`past_log` text,\n\t`past_lsn` integer DEFAULT 0 NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `__new__cdc_dead_letter` (\n\t`subscription` text DEFAULT '' NOT NULL,\n\t`lsn` integer NOT NULL,\n\t`txid` text NOT NULL,\n\t`time` integer NOT NULL,\n\t`event` text NOT NULL,\n\t`reason` text NOT NULL,\n\t`attempts` integer NOT NULL,\n\t`first_attempt` integer NOT NULL,\n\t`last_attempt` integer NOT NULL,\n\tPRIMARY KEY(`subscription`, `lsn`)\n);\n--> statement-breakpoint\nINSERT INTO `__new__cdc_dead_letter`(\"lsn\", \"txid\", \"time\", \"event\", \"reason\", \"attempts\", \"first_attempt\", \"last_attempt\") SELECT \"lsn\", \"txid\", \"time\", \"event\", \"reason\", \"attempts\", \"first_attempt\", \"last_attempt\" FROM `_cdc_dead_letter`;--> statement-breakpoint\nDROP TABLE `_cdc_dead_letter`;--> statement-breakpoint\nALTER TABLE `__new__cdc_dead_letter` RENAME TO `_cdc_dead_letter`;"
  },
  {
    "name": "0004_fleet",
    "sql": "ALTER TABLE `_cdc_state` ADD `fleet` text DEFAULT '' NOT NULL;"
  }
]
