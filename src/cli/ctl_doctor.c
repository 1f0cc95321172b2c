/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl doctor: why a card is not listed, or not used. Asks the daemon and looks by itself,
 * without changing anything, at what the daemon cannot say when it is not there: the socket, the
 * state directory, the PCI functions of the kernel. Every finding comes with its cure. */
#include "cli/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define STATE_DIR   "/var/lib/acceld"
/* A model's upload and the store's write-ahead log want room. */
#define ROOM_LEAST  (64.0 * 1048576)
#define ROOM_ENOUGH (1024.0 * 1048576)

enum level { OK, WARNING, PROBLEM };

struct doctor {
    struct accel_ctl *ctl;
    const char *state_dir, *sysroot;
    char address[32];  /* of the PCI function asked about, "" for all */
    const char *asked; /* as the user named it, or NULL */
    bool reached;      /* the daemon answers */
    json_t *drivers, *devices;
    json_t *findings; /* [{"level", "subject", "finding", "cure"}] */
    size_t count[PROBLEM + 1];
};

static void doctor_free(struct doctor *d)
{
    json_decref(d->drivers);
    json_decref(d->devices);
    json_decref(d->findings);
}

/* cure "" for what is well. */
ACCEL_PRINTF(5, 6)
static void find(struct doctor *d, enum level level, const char *subject, const char *cure,
                 const char *fmt, ...)
{
    static const char *const names[] = {[OK] = "ok", [WARNING] = "warning", [PROBLEM] = "problem"};
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    d->count[level]++;
    if (!d->ctl->json) {
        printf("%-8s %s: %s\n", names[level], subject, text);
        if (cure[0] != '\0')
            printf("         -> %s\n", cure);
    }
    json_array_append_new(d->findings,
                          json_pack("{s:s, s:s, s:s, s:s}", "level", names[level], "subject",
                                    subject, "finding", text, "cure", cure));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* ---------------------------------------------------------------- the daemon */

static void check_socket(struct doctor *d)
{
    const char *path = d->ctl->socket;
    struct stat st;

    if (path == NULL)
        return;
    if (stat(path, &st) != 0 && errno == EACCES)
        find(d, PROBLEM, "socket", "run as root, or as a member of the group acceld",
             "%s may not be looked at", path);
    else if (stat(path, &st) != 0)
        find(d, PROBLEM, "socket",
             "start the daemon (systemctl start acceld; journalctl -u acceld says why it is not "
             "running), or name the socket with --socket",
             "there is no %s", path);
    else if (!S_ISSOCK(st.st_mode))
        find(d, PROBLEM, "socket", "name the daemon's socket with --socket", "%s is no socket",
             path);
    else if (access(path, W_OK) != 0)
        find(d, PROBLEM, "socket",
             "run as root, or join the socket's group (usermod -aG acceld USER, then log in again)",
             "this user may not write to %s (mode %04o, group %u)", path,
             (unsigned)st.st_mode & 07777u, (unsigned)st.st_gid);
    else
        find(d, OK, "socket", "", "%s can be written to", path);
}

static void check_parts(struct doctor *d, const json_t *answer)
{
    const json_t *part;
    size_t i, unwell = 0;

    json_array_foreach(json_object_get(answer, "parts"), i, part) {
        const char *name = text_of(part, "name");

        /* Modules are looked at by themselves, with more to say. */
        if (json_is_true(json_object_get(part, "ready")) || strncmp(name, "driver ", 7) == 0)
            continue;
        unwell++;
        find(d, json_is_true(json_object_get(answer, "ready")) ? WARNING : PROBLEM, name,
             "journalctl -u acceld tells more; systemctl restart acceld starts it anew", "%s",
             text_of(part, "reason"));
    }
    if (unwell == 0)
        find(d, OK, "daemon", "", "answers, and all its parts are ready");
}

static void check_daemon(struct doctor *d)
{
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    const struct accel_ctl_request request = {.method = "GET", .path = "/readyz"};
    struct accel_error err;

    /* 503 is an answer too. */
    if (accel_ctl_send(d->ctl, &request, &reply, &err) != ACCEL_OK && reply.json == NULL) {
        find(d, PROBLEM, "daemon", "systemctl start acceld; journalctl -u acceld says why it ended",
             "%s", err.msg);
        return;
    }
    d->reached = true;
    check_parts(d, reply.json);
    if (accel_ctl_json(d->ctl, "GET", NULL, &d->drivers, &err, "/v2/drivers") != ACCEL_OK)
        find(d, PROBLEM, "drivers", "see which role this user has (etc/policy.yaml)", "%s",
             err.msg);
    if (accel_ctl_json(d->ctl, "GET", NULL, &d->devices, &err, "/v2/inventory") != ACCEL_OK)
        find(d, PROBLEM, "inventory", "see which role this user has (etc/policy.yaml)", "%s",
             err.msg);
}

/* ---------------------------------------------------------------- modules */

static void check_driver(struct doctor *d, const json_t *driver)
{
    const char *state = text_of(driver, "state"), *reason = text_of(driver, "reason");
    const json_t *problem;
    char subject[80], where[96];
    size_t i;

    snprintf(subject, sizeof(subject), "module %.60s", text_of(driver, "name"));
    if (strcmp(state, "active") == 0)
        find(d, OK, subject, "", "active, %s devices in %s ms", accel_ctl_text(driver, "devices"),
             accel_ctl_text(driver, "discover_ms"));
    else if (strcmp(state, "not-mine") == 0)
        find(d, OK, subject, "", "nothing of its family is in this node%s%s",
             reason[0] != '\0' ? ": " : "", reason);
    else if (strcmp(state, "quarantined") == 0)
        find(d, PROBLEM, subject,
             "its devices are not updated; journalctl -u acceld shows how it ended; systemctl "
             "reload acceld gives it another chance",
             "quarantined%s%s", reason[0] != '\0' ? ": " : " after it failed three times", reason);
    else
        find(d, WARNING, subject, "ask again in a moment; journalctl -u acceld tells more",
             "%s%s%s", state, reason[0] != '\0' ? ": " : "", reason);
    json_array_foreach(json_object_get(driver, "problems"), i, problem) {
        const char *at = text_of(problem, "where");

        if (d->address[0] != '\0' && strstr(at, d->address) == NULL)
            continue;
        snprintf(where, sizeof(where), "%.40s, %.50s", subject, at);
        find(d, WARNING, where,
             "the daemon's user must be able to read it, and the device to answer; accelctl "
             "devices rescan looks again",
             "%s", text_of(problem, "reason"));
    }
}

static const json_t *driver_named(const struct doctor *d, const char *name)
{
    const json_t *driver;
    size_t i;

    json_array_foreach(json_object_get(d->drivers, "drivers"), i, driver) {
        if (strcmp(text_of(driver, "name"), name) == 0)
            return driver;
    }
    return NULL;
}

static void check_drivers(struct doctor *d)
{
    const json_t *list = json_object_get(d->drivers, "drivers"), *driver;
    size_t i;

    if (d->reached && json_array_size(list) == 0)
        find(d, PROBLEM, "modules", "drivers.enabled in acceld.yaml names them; its default is all",
             "none is enabled, so nothing can be found");
    json_array_foreach(list, i, driver)
        check_driver(d, driver);
}

/* ---------------------------------------------------------------- devices */

static const json_t *device_at(const struct doctor *d, const char *address)
{
    const json_t *device;
    size_t i;

    json_array_foreach(json_object_get(d->devices, "devices"), i, device) {
        if (strcasecmp(text_of(device, "pci_address"), address) == 0)
            return device;
    }
    return NULL;
}

static const json_t *device_named(const struct doctor *d, const char *name)
{
    const json_t *device;
    size_t i;

    json_array_foreach(json_object_get(d->devices, "devices"), i, device) {
        const char *uuid = text_of(device, "uuid");

        if (strcmp(text_of(device, "identity"), name) == 0 || strcasecmp(uuid, name) == 0 ||
            (strlen(name) >= 8 && strncasecmp(uuid, name, strlen(name)) == 0))
            return device;
    }
    return NULL;
}

static void check_device(struct doctor *d, const json_t *device)
{
    const char *identity = text_of(device, "identity"), *health = text_of(device, "health");
    const char *why = text_of(device, "health_reason");

    if (strcmp(text_of(device, "presence"), "gone") == 0)
        find(d, PROBLEM, identity,
             "see that it is seated and powered (lspci, dmesg), then accelctl devices rescan",
             "was found once and not by the last scan");
    else if (strcmp(text_of(device, "status"), "maintaining") == 0)
        find(d, WARNING, identity, "accelctl devices enable gives it back",
             "is listed, and taken out of service by an operator");
    else if (health[0] != '\0' && strcmp(health, "ok") != 0)
        find(d, strcmp(health, "failed") == 0 ? PROBLEM : WARNING, identity,
             "dmesg and the vendor's tool tell more", "is listed, and %s%s%s", health,
             why[0] != '\0' ? ": " : "", why);
    else
        find(d, OK, identity, "", "is listed, %s, by module %s", text_of(device, "type"),
             text_of(device, "module"));
}

/* ---------------------------------------------------------------- what the kernel shows */

static bool read_hex(const struct doctor *d, const char *address, const char *name, unsigned *value)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    char path[512];

    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", d->sysroot, address, name);
    if (accel_read_file(path, 4096, &text, NULL, NULL) != ACCEL_OK)
        return false;
    *value = (unsigned)strtoul(text, NULL, 16);
    return true;
}

/* The classes that the pci module is for. */
static bool is_accelerator(unsigned class)
{
    return class >> 16 == 0x03 || class >> 16 == 0x12 || class >> 8 == 0x0b40;
}

static const char *driver_cure(unsigned vendor)
{
    switch (vendor) {
    case 0x10de:
        return "install NVIDIA's driver and load it (modprobe nvidia), or vfio-pci for a guest";
    case 0x1002:
        return "load it (modprobe amdgpu; dmesg says why it did not bind), or vfio-pci for a guest";
    case 0x8086:
        return "load the driver of its family (lspci -k names it), or vfio-pci for a guest";
    default:
        return "install and load the vendor's driver (lspci -k names candidates), or vfio-pci for "
               "a guest";
    }
}

static void check_kernel_driver(struct doctor *d, const char *address, unsigned vendor)
{
    char path[512], target[512];

    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver", d->sysroot, address);
    const ssize_t length = readlink(path, target, sizeof(target) - 1);
    if (length <= 0) {
        find(d, WARNING, address, driver_cure(vendor), "no kernel driver is bound to it");
        return;
    }
    target[length] = '\0';
    const char *name = strrchr(target, '/');
    find(d, OK, address, "", "its kernel driver is %s", name != NULL ? name + 1 : target);
}

/* The kernel shows it and the daemon does not list it: why. */
static void check_unlisted(struct doctor *d, const char *address)
{
    const json_t *pci = driver_named(d, "pci");

    if (!d->reached)
        find(d, WARNING, address, "start the daemon first",
             "whether it is listed is not known while the daemon does not answer");
    else if (d->drivers != NULL && pci == NULL)
        find(d, PROBLEM, address,
             "add pci to drivers.enabled in acceld.yaml; systemctl reload acceld",
             "is not listed: the module pci is not enabled");
    else if (strcmp(text_of(pci, "state"), "active") != 0)
        find(d, PROBLEM, address, "see the module's own line",
             "is not listed: the module pci is %s", text_of(pci, "state"));
    else
        find(d, PROBLEM, address,
             "accelctl devices rescan; when it stays away, accelctl drivers shows what the module "
             "could not read, and node.sysroot in acceld.yaml must be /",
             "is not listed, though the module pci is active");
}

static void check_function(struct doctor *d, const char *address)
{
    const json_t *device = device_at(d, address);
    unsigned class, vendor = 0;

    if (!read_hex(d, address, "class", &class)) {
        find(d, PROBLEM, address, "the kernel must show it first: lspci -s, dmesg",
             "its class cannot be read below %s/sys", d->sysroot);
        return;
    }
    if (!is_accelerator(class)) {
        /* Only when asked about. */
        find(d, PROBLEM, address,
             "accelerators have class 03xxxx, 12xxxx or 0b40xx; another one needs a module of its "
             "own (acceld-driver(7))",
             "its class is %06x, which is no accelerator's", class);
        return;
    }
    (void)read_hex(d, address, "vendor", &vendor);
    check_kernel_driver(d, address, vendor);
    if (device != NULL)
        check_device(d, device);
    else
        check_unlisted(d, address);
}

static void check_functions(struct doctor *d)
{
    char path[512];
    struct dirent **entries;

    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", d->sysroot);
    const int count = scandir(path, &entries, NULL, alphasort);
    size_t seen = 0;

    for (int i = 0; i < count; i++) {
        unsigned class;

        if (entries[i]->d_name[0] != '.' && read_hex(d, entries[i]->d_name, "class", &class) &&
            is_accelerator(class)) {
            seen++;
            check_function(d, entries[i]->d_name);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (seen == 0)
        find(d, count < 0 ? WARNING : OK, "PCI",
             count < 0 ? "without it only modules that need no PCI find devices" : "",
             count < 0 ? "%s cannot be read" : "no accelerator among the functions below %s", path);
}

/* Listed devices that are no PCI function, and those whose function the kernel no longer shows. */
static void check_other_devices(struct doctor *d)
{
    const json_t *device;
    unsigned class;
    size_t i;

    json_array_foreach(json_object_get(d->devices, "devices"), i, device) {
        const char *address = text_of(device, "pci_address");

        if (address[0] == '\0' || !read_hex(d, address, "class", &class))
            check_device(d, device);
    }
}

/* ---------------------------------------------------------------- the disk */

static void check_disk(struct doctor *d)
{
    struct statvfs fs;

    if (statvfs(d->state_dir, &fs) != 0) {
        find(d, WARNING, "state directory",
             "name the one of acceld.yaml (node.state_dir) with --state-dir; the daemon makes it "
             "when it starts",
             "%s: %s", d->state_dir, strerrordesc_np(errno));
        return;
    }
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    const char *cure = "make room, or move node.state_dir to another file system; accelctl models "
                       "delete frees the files of models";
    if ((fs.f_flag & ST_RDONLY) != 0)
        find(d, PROBLEM, "state directory", "mount it writable", "%s is on a read-only file system",
             d->state_dir);
    else if (room < ROOM_LEAST || (fs.f_files > 0 && fs.f_favail == 0))
        find(d, PROBLEM, "state directory", cure, "%s has %s and %llu files left", d->state_dir,
             accel_ctl_bytes(room), (unsigned long long)fs.f_favail);
    else if (room < ROOM_ENOUGH)
        find(d, WARNING, "state directory", cure, "%s has %s left", d->state_dir,
             accel_ctl_bytes(room));
    else
        find(d, OK, "state directory", "", "%s has %s left", d->state_dir, accel_ctl_bytes(room));
}

/* ---------------------------------------------------------------- one device */

/* "3b:00.0", "0000:3b:00.0", "pci:0000:3b:00.0" -> "0000:3b:00.0"; false: no PCI address. */
static bool pci_address(const char *name, char out[32])
{
    unsigned domain = 0, bus, slot, function;
    int end = 0;

    if (strncasecmp(name, "pci:", 4) == 0)
        name += 4;
    if ((sscanf(name, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &end) != 4 ||
         name[end] != '\0')) {
        domain = 0;
        end = 0;
        if (sscanf(name, "%x:%x.%x%n", &bus, &slot, &function, &end) != 3 || name[end] != '\0')
            return false;
    }
    snprintf(out, 32, "%04x:%02x:%02x.%x", domain, bus, slot, function);
    return true;
}

static void check_asked(struct doctor *d)
{
    const json_t *device = device_named(d, d->asked);

    if (d->address[0] == '\0' && device != NULL)
        snprintf(d->address, sizeof(d->address), "%.31s", text_of(device, "pci_address"));
    if (d->address[0] != '\0')
        check_function(d, d->address);
    else if (device != NULL)
        check_device(d, device);
    else if (d->reached)
        find(d, PROBLEM, d->asked,
             "accelctl devices lists those there are; a PCI function can be asked about by its "
             "address (lspci -D)",
             "no device is called that");
}

int accel_ctl_doctor(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    ACCEL_CLEANUP(doctor_free)
    struct doctor d = {.ctl = ctl, .state_dir = STATE_DIR, .sysroot = "", .findings = json_array()};
    const struct accel_opt opts[] = {
        {"state-dir", 0, ACCEL_OPT_STRING, &d.state_dir, "DIR",
         "the daemon's state directory (" STATE_DIR ")"},
        {"sysroot", 0, ACCEL_OPT_STRING, &d.sysroot, "DIR",
         "look at a recorded tree instead of /sys"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands;
    const int rc =
        accel_ctl_options("doctor [DEVICE|PCI-ADDRESS]", opts, argc, argv, 0, 1, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    if (operands > 0) {
        d.asked = argv[0];
        (void)pci_address(d.asked, d.address);
    }
    check_socket(&d);
    check_daemon(&d);
    check_drivers(&d);
    if (d.asked != NULL) {
        check_asked(&d);
    } else {
        check_functions(&d);
        check_other_devices(&d);
    }
    check_disk(&d);
    if (ctl->json)
        accel_ctl_print_json(d.findings);
    if (d.count[PROBLEM] > 0)
        return accel_fail(err, ACCEL_E_CONFLICT, "%zu problem%s and %zu warning%s found",
                          d.count[PROBLEM], d.count[PROBLEM] == 1 ? "" : "s", d.count[WARNING],
                          d.count[WARNING] == 1 ? "" : "s");
    return ACCEL_OK;
}
