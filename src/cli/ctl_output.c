/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ctl.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bump.h"
#include "base/clock.h"

/* ---------------------------------------------------------------- tables */

struct accel_table {
    struct accel_bump mem;
    const char *titles[ACCEL_TABLE_COLUMNS_MAX];
    bool right[ACCEL_TABLE_COLUMNS_MAX];
    size_t columns, cells_count, cells_capacity;
    const char **cells;
};

struct accel_table *accel_table_new(const char *const *titles, size_t columns)
{
    struct accel_table *table = accel_calloc(1, sizeof(*table));

    if (table == NULL || columns > ACCEL_TABLE_COLUMNS_MAX) {
        fprintf(stderr, "accelctl: no memory for a table\n");
        exit(1);
    }
    table->columns = columns;
    memcpy(table->titles, titles, columns * sizeof(*titles));
    return table;
}

void accel_table_align_right(struct accel_table *table, size_t column)
{
    table->right[column] = true;
}

void accel_table_cell(struct accel_table *table, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (accel_grow(&table->cells, &table->cells_capacity, table->cells_count + 1,
                   sizeof(*table->cells), NULL) != ACCEL_OK)
        return;
    /* What the daemon says is shown, not obeyed: no control character reaches the terminal. */
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    const char *copy = accel_bump_strdup(&table->mem, text);
    table->cells[table->cells_count++] = copy != NULL ? copy : "?";
}

/* Characters, not bytes: a continuation byte of UTF-8 takes no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_row(const struct accel_table *table, const char *const *cells,
                      const size_t *widths, FILE *out)
{
    for (size_t c = 0; c < table->columns; c++) {
        const int pad = (int)(widths[c] - width_of(cells[c]));
        if (table->right[c])
            fprintf(out, "%*s%s", pad, "", cells[c]);
        else
            fprintf(out, "%s%*s", cells[c], c + 1 < table->columns ? pad : 0, "");
        fputs(c + 1 < table->columns ? "  " : "\n", out);
    }
}

void accel_table_print(struct accel_table *table, FILE *out)
{
    size_t widths[ACCEL_TABLE_COLUMNS_MAX];

    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = width_of(table->titles[c]);
        for (size_t i = c; i < table->cells_count; i += table->columns)
            widths[c] = ACCEL_MAX(widths[c], width_of(table->cells[i]));
    }
    print_row(table, table->titles, widths, out);
    for (size_t i = 0; i + table->columns <= table->cells_count; i += table->columns)
        print_row(table, table->cells + i, widths, out);
}

void accel_table_free(struct accel_table **table)
{
    if (*table == NULL)
        return;
    accel_bump_free(&(*table)->mem);
    accel_free((*table)->cells);
    accel_freep(table);
}

/* ---------------------------------------------------------------- progress */

#define BAR_CELLS 30

void accel_bar_begin(struct accel_bar *bar, const char *what)
{
    *bar = (struct accel_bar){.begun_ms = accel_now_ms(), .what = what};
}

void accel_bar_update(struct accel_bar *bar, double percent, const char *text)
{
    const int64_t now = accel_now_ms();
    const int full = (int)(ACCEL_MIN(ACCEL_MAX(percent, 0.0), 100.0) / 100.0 * BAR_CELLS);

    if (now - bar->begun_ms < 1000 || now - bar->drawn_ms < 100 || !isatty(STDERR_FILENO))
        return;
    bar->drawn_ms = now;
    bar->visible = true;
    fprintf(stderr, "\r%s [%.*s%*s] %3.0f %% %.40s\033[K", bar->what, full,
            "##############################", BAR_CELLS - full, "", percent, text);
    fflush(stderr);
}

void accel_bar_end(struct accel_bar *bar)
{
    if (bar->visible)
        fputs("\r\033[K", stderr);
    bar->visible = false;
}

/* ---------------------------------------------------------------- values */

void accel_ctl_print_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

/* Eight texts at a time: enough for the arguments of one printf. */
static char *next_text(size_t *size)
{
    static char texts[8][512];
    static unsigned next;

    *size = sizeof(texts[0]);
    return texts[next++ % ACCEL_COUNT(texts)];
}

const char *accel_ctl_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    size_t size;
    char *text = next_text(&size);

    switch (value != NULL ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        snprintf(text, size, "%s", json_string_value(value));
        break;
    case JSON_INTEGER:
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(text, size, "%.6g", json_real_value(value));
        break;
    case JSON_TRUE:
        return "yes";
    case JSON_FALSE:
        return "no";
    default:
        return "-";
    }
    return text[0] != '\0' ? text : "-";
}

const char *accel_ctl_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0, size;
    char *text = next_text(&size);

    while (bytes >= 1024 && unit + 1 < ACCEL_COUNT(units)) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, unit > 0 && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

const char *accel_ctl_seconds(double seconds)
{
    size_t size;
    char *text = next_text(&size);

    if (!(seconds > 0))
        snprintf(text, size, "-");
    else if (seconds < 1e-3)
        snprintf(text, size, "%.3g us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, size, "%.3g ms", seconds * 1e3);
    else
        snprintf(text, size, "%.3g s", seconds);
    return text;
}
