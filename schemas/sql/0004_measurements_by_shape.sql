-- schemas/sql/0004_measurements_by_shape.sql: what a run took is kept by the shapes of its inputs.
-- A placement for one image was answered from runs of batches. Of the runs so far nobody knows the
-- shapes ('?' is none that a run can have), so they answer nothing any more.
CREATE TABLE measurements_by_shape (
    model_uuid    TEXT NOT NULL,
    device_uuid   TEXT NOT NULL,
    threads       INTEGER NOT NULL,
    shape         TEXT NOT NULL,    -- "image=1x3x224x224", inputs by name
    count         INTEGER NOT NULL,
    sum_s         REAL NOT NULL,
    sum_squares   REAL NOT NULL,
    min_s         REAL NOT NULL,
    max_s         REAL NOT NULL,
    predicted     INTEGER NOT NULL, -- of these inferences
    sum_ratio     REAL NOT NULL,    -- of measured to predicted time
    PRIMARY KEY (model_uuid, device_uuid, threads, shape)
) STRICT, WITHOUT ROWID;
INSERT INTO measurements_by_shape
    SELECT model_uuid, device_uuid, threads, '?', count, sum_s, sum_squares, min_s, max_s, predicted,
           sum_ratio FROM measurements;
DROP TABLE measurements;
ALTER TABLE measurements_by_shape RENAME TO measurements;
