// Made by `npm run embed`; edit the SQL, not this file.

import type { Migration } from '../sqlite/migrate.ts'

export const migrations: readonly Migration[] = [
  {
    "name": "0000_outbox",
    "sql": "CREATE TABLE `_cdc_outbox` (\n\t`lsn` integer PRIMARY KEY NOT NULL,\n\t`count` integer NOT NULL,\n\t`bytes` integer NOT NULL,\n\t`txid` text NOT NULL,\n\t`time` integer NOT NULL,\n\t`events` text NOT NULL\n);\n--> statement-breakpoint\nCREATE TABLE `_cdc_state` (\n\t`id` integer PRIMARY KEY NOT NULL,\n\t`object` text,\n\t`ns` text NOT NULL,\n\t`source` text NOT NULL,\n\t`epoch` text NOT NULL,\n\t`acked_lsn` integer NOT NULL,\n\t`batch_lsn` integer NOT NULL,\n\t`batch_attempts` integer NOT NULL\n);\n"
  }
]
