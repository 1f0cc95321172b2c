-- schemas/sql/0003_rates_of_operators.sql: a measured point says which operator it is and what of its
-- traffic is weights. A kind was too coarse: a table look-up and a resize are both moves, and one
-- takes a hundred times as long as the other per byte. '' is any operator of the kind, as before.
ALTER TABLE rates ADD COLUMN op TEXT NOT NULL DEFAULT '';
ALTER TABLE rates ADD COLUMN bytes_written REAL NOT NULL DEFAULT 0;
ALTER TABLE rates ADD COLUMN bytes_weights REAL NOT NULL DEFAULT 0;
ALTER TABLE rates ADD COLUMN items REAL NOT NULL DEFAULT 0;
