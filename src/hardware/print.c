/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/print.h"

#include <stdio.h>

#include "acceld/driver.h"

static const char *basis_name(uint32_t basis)
{
    switch (basis) {
    case ACCEL_BASIS_MEASURED:
        return "measured";
    case ACCEL_BASIS_REPORTED:
        return "reported";
    case ACCEL_BASIS_CATALOGUE:
        return "catalogue";
    default:
        return "unknown";
    }
}

/* jansson's _new functions take NULL for "failed before": the end of a chain tells. */
static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *fact_value(const Accel__Ipc__Fact *fact)
{
    return fact->value_case == ACCEL__IPC__FACT__VALUE_TEXT ? json_string(fact->text)
                                                            : json_real(fact->number);
}

static json_t *facts_to_json(Accel__Ipc__Fact *const *facts, size_t count)
{
    json_t *all = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(all, facts[i]->name,
                            json_pack("{s:o, s:s}", "value", fact_value(facts[i]), "basis",
                                      basis_name(facts[i]->basis)));
    return all;
}

static json_t *deployable_to_json(const Accel__Ipc__Deployable *d)
{
    json_t *traits = json_array(), *handles = json_array();

    for (size_t i = 0; i < d->n_traits; i++)
        json_array_append_new(traits, json_string(d->traits[i]));
    for (size_t i = 0; i < d->n_handles; i++)
        json_array_append_new(handles,
                              json_pack("{s:s, s:s}", "attach_type", d->handles[i]->attach_type,
                                        "attach_info", d->handles[i]->attach_info));
    return json_pack("{s:s, s:o, s:I, s:o, s:o}", "name", d->name, "resource_class",
                     text_or_null(d->resource_class), "num_accelerators",
                     (json_int_t)d->num_accelerators, "traits", traits, "handles", handles);
}

static json_t *device_to_json(const Accel__Ipc__Device *d)
{
    json_t *deployables = json_array();

    for (size_t i = 0; i < d->n_deployables; i++)
        json_array_append_new(deployables, deployable_to_json(d->deployables[i]));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:i, s:i, s:b, s:s, s:o, s:o, "
                     "s:o, s:o}",
                     "identity", d->identity, "type", d->type, "pci_address",
                     text_or_null(d->pci_address), "serial", text_or_null(d->serial), "partition",
                     text_or_null(d->partition), "vendor", d->vendor, "model", d->model,
                     "std_board_info", text_or_null(d->std_board_info), "vendor_board_info",
                     text_or_null(d->vendor_board_info), "numa_node", (int)d->numa_node,
                     "iommu_group", (int)d->iommu_group, "runnable", (int)d->runnable, "health",
                     d->health, "health_reason", text_or_null(d->health_reason), "parent",
                     text_or_null(d->parent), "deployables", deployables, "facts",
                     facts_to_json(d->facts, d->n_facts));
}

json_t *accel_print_list(const Accel__Ipc__DeviceList *list)
{
    json_t *devices = json_array(), *annotations = json_array(), *problems = json_array();

    for (size_t i = 0; i < list->n_devices; i++)
        json_array_append_new(devices, device_to_json(list->devices[i]));
    for (size_t i = 0; i < list->n_annotations; i++) {
        const Accel__Ipc__Fact *fact = list->annotations[i];
        json_array_append_new(annotations,
                              json_pack("{s:s, s:s, s:o, s:s}", "identity", fact->identity, "name",
                                        fact->name, "value", fact_value(fact), "basis",
                                        basis_name(fact->basis)));
    }
    for (size_t i = 0; i < list->n_problems; i++)
        json_array_append_new(problems, json_pack("{s:s, s:s}", "where", list->problems[i]->where,
                                                  "reason", list->problems[i]->reason));
    json_t *all = json_pack("{s:o, s:o, s:o}", "devices", devices, "annotations", annotations,
                            "problems", problems);
    /* An item that could not be made was not appended: a shorter list would be a lie. */
    if (json_array_size(devices) != list->n_devices ||
        json_array_size(annotations) != list->n_annotations ||
        json_array_size(problems) != list->n_problems) {
        json_decref(all);
        return NULL;
    }
    return all;
}

void accel_print_lines(const Accel__Ipc__DeviceList *list, FILE *out)
{
    for (size_t i = 0; i < list->n_devices; i++) {
        const Accel__Ipc__Device *d = list->devices[i];
        fprintf(out, "%-8s %-28s %s %s", d->type, d->identity, d->vendor, d->model);
        if (d->numa_node >= 0)
            fprintf(out, ", node %d", d->numa_node);
        fprintf(out, ", %s%s%s\n", d->health, d->health_reason[0] != '\0' ? ": " : "",
                d->health_reason);
    }
    for (size_t i = 0; i < list->n_problems; i++)
        fprintf(out, "problem  %s: %s\n", list->problems[i]->where, list->problems[i]->reason);
    for (size_t i = 0; i < list->n_annotations; i++)
        fprintf(out, "about    %s: %s\n", list->annotations[i]->identity,
                list->annotations[i]->name);
}
