/* SPDX-License-Identifier: Apache-2.0 */
#include "hardware/host.h"

static const struct accel_host_ops *ops_of(const struct accel_host *host)
{
    const struct accel_host_self *self = host->self;

    return self->ops;
}

void accel_host_free(struct accel_host *host)
{
    if (host != NULL)
        ops_of(host)->free(host);
}

void accel_host_freep(struct accel_host **host)
{
    accel_host_free(*host);
    *host = NULL;
}

int accel_host_event_fd(const struct accel_host *host)
{
    return ops_of(host)->event_fd(host);
}

void accel_host_take_events(struct accel_host *host)
{
    ops_of(host)->take_events(host);
}

bool accel_host_drain(struct accel_host *host, int fd)
{
    return ops_of(host)->drain(host, fd);
}

int accel_host_check(const struct accel_host *host, struct accel_error *err)
{
    const struct accel_host_ops *ops = ops_of(host);

    return ops->check != NULL ? ops->check(host, err) : ACCEL_OK;
}
