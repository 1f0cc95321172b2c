-- A placement that reserves a device makes a device profile for it, which goes with the last ARQ
-- that was made from it. Those of clients (placed 0) stay until somebody deletes them.
ALTER TABLE device_profiles ADD COLUMN placed INTEGER NOT NULL DEFAULT 0 CHECK (placed IN (0, 1));
