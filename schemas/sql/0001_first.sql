-- The record of one node: what it has (devices, deployables), who has it (ARQs), what it serves
-- (models), what it was told to do (jobs, intents) and what happened (events, the outbox).
-- Rows carry created_at and updated_at as the wire writes them: ISO 8601 with offset.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    id                INTEGER PRIMARY KEY,
    uuid              TEXT NOT NULL UNIQUE,
    hostname          TEXT NOT NULL,
    identity          TEXT NOT NULL, -- pci:0000:3b:00.0, cpu:0, fake:7
    type              TEXT NOT NULL,
    vendor            TEXT NOT NULL,
    model             TEXT NOT NULL,
    std_board_info    TEXT,
    vendor_board_info TEXT,
    status            TEXT NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'maintaining')),
    health            TEXT NOT NULL DEFAULT 'ok' CHECK (health IN ('ok', 'degraded', 'failed')),
    health_reason     TEXT,
    -- What the daemon itself found (module quarantined, undo failed); the worse of the two counts.
    own_health        TEXT NOT NULL DEFAULT 'ok' CHECK (own_health IN ('ok', 'degraded', 'failed')),
    own_health_reason TEXT,
    gone              INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    module            TEXT NOT NULL, -- the owner
    priority          INTEGER NOT NULL, -- the owner's
    pci_address       TEXT,
    parent            TEXT,
    numa_node         INTEGER NOT NULL DEFAULT -1,
    iommu_group       INTEGER NOT NULL DEFAULT -1,
    runnable          INTEGER NOT NULL DEFAULT 0,
    version           INTEGER NOT NULL DEFAULT 1,
    created_at        TEXT NOT NULL,
    updated_at        TEXT,
    UNIQUE (hostname, identity)
) STRICT;
CREATE INDEX devices_module ON devices (module);
CREATE INDEX devices_gone ON devices (id) WHERE gone = 1;

-- Devices and deployables that were deleted because they vanished: one that comes back is the same
-- one to whoever noted its uuid, and stays disabled if the operator had disabled it.
CREATE TABLE tombstones (
    id       INTEGER PRIMARY KEY,
    noun     TEXT NOT NULL CHECK (noun IN ('device', 'deployable')),
    hostname TEXT NOT NULL,
    key      TEXT NOT NULL, -- identity; identity, a blank and the name
    uuid     TEXT NOT NULL,
    status   TEXT,
    UNIQUE (noun, hostname, key)
) STRICT;

-- What modules could not read or use, as of their last scan: each becomes an event when it appears.
CREATE TABLE problems (
    id     INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    place  TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (module, place, reason)
) STRICT;

-- One fact of one module about one device; exactly one of number and text.
CREATE TABLE facts (
    id        INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    name      TEXT NOT NULL,
    number    REAL,
    text      TEXT,
    basis     INTEGER NOT NULL CHECK (basis IN (1, 2, 3)), -- catalogue, reported, measured
    module    TEXT NOT NULL,
    UNIQUE (device_id, name, module),
    CHECK ((number IS NULL) <> (text IS NULL))
) STRICT;
CREATE INDEX facts_module ON facts (module);

CREATE TABLE controlpath_ids (
    id        INTEGER PRIMARY KEY,
    uuid      TEXT NOT NULL UNIQUE,
    device_id INTEGER NOT NULL UNIQUE REFERENCES devices (id) ON DELETE CASCADE,
    cpid_type TEXT NOT NULL CHECK (cpid_type IN ('PCI')),
    cpid_info TEXT NOT NULL CHECK (json_valid (cpid_info))
) STRICT;

CREATE TABLE deployables (
    id               INTEGER PRIMARY KEY,
    uuid             TEXT NOT NULL UNIQUE,
    device_id        INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    name             TEXT NOT NULL,
    num_accelerators INTEGER NOT NULL,
    resource_class   TEXT,
    rp_uuid          TEXT NOT NULL, -- UUIDv3 of the name: Placement's provider
    driver_name      TEXT NOT NULL,
    bitstream_id     TEXT,
    -- Not reported any more, but one of its handles is held: it goes when that is freed.
    gone             INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    version          INTEGER NOT NULL DEFAULT 1,
    created_at       TEXT NOT NULL,
    updated_at       TEXT,
    UNIQUE (device_id, name)
) STRICT;
CREATE INDEX deployables_rp ON deployables (rp_uuid);
CREATE INDEX deployables_gone ON deployables (id) WHERE gone = 1;

-- The resource class ("rc"), the traits ("trait0", ...) and what clients put there (origin "api").
CREATE TABLE attributes (
    id            INTEGER PRIMARY KEY,
    uuid          TEXT NOT NULL UNIQUE,
    deployable_id INTEGER NOT NULL REFERENCES deployables (id) ON DELETE CASCADE,
    key           TEXT NOT NULL,
    value         TEXT NOT NULL,
    origin        TEXT NOT NULL,
    position      INTEGER NOT NULL, -- in attributes_list: rc first, then the traits, then the rest
    created_at    TEXT NOT NULL,
    updated_at    TEXT
) STRICT;
CREATE INDEX attributes_deployable ON attributes (deployable_id);

CREATE TABLE device_profiles (
    id          INTEGER PRIMARY KEY,
    uuid        TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL UNIQUE,
    description TEXT,
    groups      TEXT NOT NULL CHECK (json_valid (groups)),
    created_at  TEXT NOT NULL,
    updated_at  TEXT
) STRICT;

CREATE TABLE arqs (
    id                INTEGER PRIMARY KEY,
    uuid              TEXT NOT NULL UNIQUE,
    project_id        TEXT,
    state             TEXT NOT NULL CHECK (state IN ('Initial', 'BindStarted', 'Bound', 'Unbound',
                                                     'BindFailed', 'UnbindFailed', 'Deleting')),
    device_profile_id INTEGER NOT NULL REFERENCES device_profiles (id) ON DELETE RESTRICT,
    group_id          INTEGER NOT NULL,
    -- The same for all ARQs of one POST: those of one group among them go to one provider.
    batch             INTEGER NOT NULL,
    hostname          TEXT,
    device_rp_uuid    TEXT,
    instance_uuid     TEXT,
    created_at        TEXT NOT NULL,
    updated_at        TEXT
) STRICT;
CREATE INDEX arqs_instance ON arqs (instance_uuid) WHERE instance_uuid IS NOT NULL;
CREATE INDEX arqs_project ON arqs (project_id);
CREATE INDEX arqs_profile ON arqs (device_profile_id);

-- One row per accelerator of a deployable; arq_id NULL is free.
CREATE TABLE attach_handles (
    id            INTEGER PRIMARY KEY,
    uuid          TEXT NOT NULL UNIQUE,
    deployable_id INTEGER NOT NULL REFERENCES deployables (id) ON DELETE CASCADE,
    arq_id        INTEGER REFERENCES arqs (id) ON DELETE RESTRICT,
    attach_type   TEXT NOT NULL CHECK (attach_type IN ('PCI', 'MDEV', 'TEST_PCI')),
    attach_info   TEXT NOT NULL CHECK (json_valid (attach_info)),
    -- Not reported any more, but held: it goes when it is freed.
    gone          INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    UNIQUE (deployable_id, attach_info)
) STRICT;
-- An ARQ holds at most one. Partial: a full index would be chosen for IS NULL as well.
CREATE UNIQUE INDEX attach_handles_held ON attach_handles (arq_id) WHERE arq_id IS NOT NULL;
CREATE INDEX attach_handles_free ON attach_handles (deployable_id) WHERE arq_id IS NULL;
CREATE INDEX attach_handles_gone ON attach_handles (id) WHERE gone = 1;

CREATE TABLE models (
    id         INTEGER PRIMARY KEY,
    uuid       TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),
    project_id TEXT,
    sha256     TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    file       TEXT NOT NULL,
    analysis   TEXT NOT NULL,
    runnable   INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (name, version)
) STRICT;
CREATE INDEX models_file ON models (file);

CREATE TABLE jobs (
    id               INTEGER PRIMARY KEY,
    uuid             TEXT NOT NULL UNIQUE,
    kind             TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed',
                                                    'cancelled')),
    progress         REAL NOT NULL DEFAULT 0,
    text             TEXT,
    project_id       TEXT,
    target           TEXT,
    result           TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    created_at       TEXT NOT NULL,
    updated_at       TEXT,
    finished_at      TEXT
) STRICT;
CREATE INDEX jobs_open ON jobs (state) WHERE state IN ('queued', 'running');

CREATE TABLE job_lines (
    job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at     TEXT NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- Calibration: the measured points of the cost model. kind and precision are libaccelinfer's numbers
-- as names, so that a reordered enum never changes their meaning.
-- By the device's uuid, which outlives its row: a card that comes back is calibrated still.
CREATE TABLE rates (
    id             INTEGER PRIMARY KEY,
    device_uuid    TEXT NOT NULL,
    driver_version TEXT NOT NULL,
    threads        INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    precision      INTEGER NOT NULL, -- onnx.TensorProto.DataType
    flops          REAL NOT NULL,
    bytes          REAL NOT NULL,
    flops_per_s    REAL NOT NULL,
    bytes_per_s    REAL NOT NULL,
    overhead_s     REAL NOT NULL,
    spread         REAL NOT NULL,
    measured_at    TEXT NOT NULL
) STRICT;
CREATE INDEX rates_device ON rates (device_uuid, driver_version);

-- Real inferences, folded: sums suffice for mean and variance.
CREATE TABLE measurements (
    model_uuid    TEXT NOT NULL,
    device_uuid   TEXT NOT NULL,
    threads       INTEGER NOT NULL,
    count         INTEGER NOT NULL,
    sum_s         REAL NOT NULL,
    sum_squares   REAL NOT NULL,
    min_s         REAL NOT NULL,
    max_s         REAL NOT NULL,
    predicted     INTEGER NOT NULL, -- of these inferences
    sum_ratio     REAL NOT NULL,    -- of measured to predicted time
    PRIMARY KEY (model_uuid, device_uuid, threads)
) STRICT, WITHOUT ROWID;

-- The outbox. Committed with the state it tells of.
CREATE TABLE events (
    sequence   INTEGER NOT NULL,
    node       TEXT NOT NULL,
    at         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    subject    TEXT NOT NULL,
    project_id TEXT, -- NULL: everybody may see it
    data       TEXT NOT NULL CHECK (json_valid (data)),
    PRIMARY KEY (node, sequence)
) STRICT, WITHOUT ROWID;

-- Steps that leave the process: written before, deleted with the result.
CREATE TABLE intents (
    id         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL,
    data       TEXT NOT NULL CHECK (json_valid (data)),
    created_at TEXT NOT NULL
) STRICT;

-- A worker has a context on a device. Leases end with the daemon.
CREATE TABLE leases (
    id         INTEGER PRIMARY KEY,
    device_id  INTEGER NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    holder     TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX leases_device ON leases (device_id);
