CREATE TABLE `products` (
	`id` text PRIMARY KEY NOT NULL,
	`title` text NOT NULL,
	`cents` integer NOT NULL,
	`pieces` integer NOT NULL
);
